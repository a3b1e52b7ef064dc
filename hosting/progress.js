// When an event of its queue ends, Gradio adds the event's inputs to a list of components that show progress, and at each step of
// every later event it searches the whole page for each of them: half of the time that a slider takes. No component of this page
// shows progress that way. `inputs.includes(component)` decides who is added, and serves nothing else: here it is always false.
document.addEventListener('readystatechange', () => {  // its configuration is there, its scripts have not begun
  for (const {inputs} of window.gradio_config?.dependencies ?? []) Object.defineProperty(inputs, 'includes', {value: () => false});
}, {once: true});
