// Passkeys: asks the server for a question, the browser for its answer, and sends that with the form.

const able = () => window.PublicKeyCredential?.parseCreationOptionsFromJSON && window.PublicKeyCredential?.parseRequestOptionsFromJSON;

const ask = async (url, form) => {
  const body = new URLSearchParams(new FormData(form));
  const answer = await fetch(url, { method: "POST", body, headers: { Accept: "application/json" }, credentials: "same-origin" });
  return { fine: answer.ok, told: await answer.json().catch(() => ({})) };
};

// <div data-passkey-new data-question="…">: the form that adds one.
for (const part of document.querySelectorAll("[data-passkey-new]")) {
  const form = part.querySelector("form");
  const said = part.querySelector("[data-passkey-said]");
  const say = (words) => {
    said.textContent = words;
    said.hidden = !words;
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    say("");
    if (!able()) return say(part.dataset.unable);
    const { fine, told } = await ask(part.dataset.question, form);
    if (!fine) return say(told.errors ? Object.values(told.errors)[0] : part.dataset.refused);
    try {
      const made = await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(told) });
      form.querySelector("[data-passkey-answer]").value = JSON.stringify(made.toJSON());
    } catch {
      return say(part.dataset.refused);
    }
    form.submit();
  });
}

// <form data-passkey-sign-in data-question="…" hidden>: the button that signs in with one.
for (const form of document.querySelectorAll("form[data-passkey-sign-in]")) {
  if (!able()) continue;
  form.hidden = false;
  const said = form.querySelector("[data-passkey-said]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    said.hidden = true;
    const { fine, told } = await ask(form.dataset.question, form);
    try {
      if (!fine) throw new Error("no question");
      const given = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(told) });
      form.querySelector("[data-passkey-answer]").value = JSON.stringify(given.toJSON());
    } catch {
      said.hidden = false;
      return;
    }
    form.submit();
  });
}
