// <button data-reveal="field-id" aria-pressed="false">: shows and hides a password.

for (const button of document.querySelectorAll("button[data-reveal]")) {
  const field = document.getElementById(button.dataset.reveal);
  if (!field) continue;
  const set = (open) => {
    field.type = open ? "text" : "password";
    button.setAttribute("aria-pressed", String(open));
  };
  button.addEventListener("click", () => set(field.type === "password"));
  // Never leave the page with the password readable: the browser would offer it among remembered texts.
  field.form?.addEventListener("submit", () => set(false));
}
