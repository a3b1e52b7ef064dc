// When an event of its queue ends, Gradio adds the event's inputs to a list of components that show progress, and at each step of
// every later event it looks for all of these in the whole page: half of what a slider takes. No component of this page shows
// progress so. Asked whether it is among the inputs of an event, each is not, which Gradio asks for this list alone.
document.addEventListener('readystatechange', () => {  // its configuration is there, its scripts have not begun
  for (const {inputs} of window.gradio_config?.dependencies ?? []) Object.defineProperty(inputs, 'includes', {value: () => false});
}, {once: true});
