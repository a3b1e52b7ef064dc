// The work is done by hosting/links.js, which is there before any component.
window.links?.start(props.groups, props.places, trigger);
watch('value', () => window.links?.answered(props.value));
