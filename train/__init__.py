"""The workshop: one short recipe per model, the loop that they share (`engine`) and the measuring (`evaluate`)."""
