// <li data-copied-once="code" data-done=" – done">: a step that is done once this link, or the message with it, was copied.
// This browser remembers it; nobody is told.

for (const step of document.querySelectorAll("[data-copied-once]")) {
  const kept = `copied ${step.dataset.copiedOnce}`;
  const tick = () => {
    if (step.classList.contains("is-done")) return;
    step.classList.add("is-done");
    const word = document.createElement("span");
    word.className = "visually-hidden";
    word.textContent = step.dataset.done;
    step.querySelector(".numbered-title").append(word);
  };
  const done = () => {
    tick();
    try {
      localStorage.setItem(kept, "yes");
    } catch {
      // without storage it is ticked on this page alone
    }
  };

  try {
    if (localStorage.getItem(kept)) tick();
  } catch {
    // as above
  }
  document.addEventListener("copied", done);
  document.addEventListener("copy", (event) => event.target.matches?.("input[readonly], textarea[readonly]") && done());
}
