// <form data-guarded>: asks before the page is left while something was changed in it and not sent, by another form too.

const changed = new Set();
let sent;

for (const form of document.querySelectorAll("form[data-guarded]")) {
  form.addEventListener("input", () => changed.add(form));
  form.addEventListener("submit", () => (sent = form));
}
window.addEventListener("beforeunload", (event) => {
  if ([...changed].some((form) => form !== sent)) event.preventDefault();
  sent = undefined; // who stays has sent nothing
});
