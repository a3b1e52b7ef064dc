const scroll = find('.scroll'), head = find('thead tr'), body = find('tbody'), caption = find('.caption');
let table = null, rows = [], sorted = {column: -1, descending: false};

function sort(column) {
  sorted = {column, descending: sorted.column === column && !sorted.descending};
  const key = i => column ? table.rows[i][column][1] : table.rows[i][0], sign = sorted.descending ? -1 : 1;
  const order = table.rows.map((_row, i) => i).sort((i, k) => {
    const [a, b] = [key(i), key(k)];
    if (a === null || b === null) return (a === null) - (b === null);  // what was not measured comes last
    return sign * (column ? a - b : a.localeCompare(b)) || i - k;
  });
  body.append(...order.map(i => rows[i]));
  [...head.children].forEach((e, k) => e.setAttribute('aria-sort', k !== column ? 'none' : sorted.descending ? 'descending' : 'ascending'));
}
/** @param {{table: string, caption: string}} v */
function load(v) {
  scroll.hidden = !(v && v.table);
  caption.textContent = (v && v.caption) || '';
  if (scroll.hidden) return;
  table = JSON.parse(v.table);
  scroll.setAttribute('aria-label', props.name);
  head.replaceChildren(...table.columns.map((title, k) => {
    const cell = make('th');
    cell.scope = 'col';
    cell.append(makeButton('', title, () => sort(k)));
    return cell;
  }));
  rows = table.rows.map(([title, ...cells], i) => {
    const row = make('tr'), name = make('th');
    name.scope = 'row';
    name.append(makeButton('', title, () => {
      rows.forEach(e => e.classList.toggle('chosen', e === row));
      trigger('input', {index: i});
    }));
    row.append(name, ...cells.map(([text]) => make('td', '', text)));
    return row;
  });
  body.replaceChildren(...rows);
  sorted = {column: -1, descending: false};
}
onValue(load);
