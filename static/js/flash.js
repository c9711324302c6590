// After a full-page post the message about it gets the focus; so does the summary of a form's errors.

const first = document.querySelector("[data-focus-first]");
if (first && !location.hash) first.focus({ preventScroll: false });
