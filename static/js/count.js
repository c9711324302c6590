// <p data-count="field-id" data-most="400" hidden><span data-said="{many} of {most}"></span> <span data-over="Too long"></span></p>
// Says how many characters a text has, from half of what it may have on; and that it is too long, which the server refuses.

const number = new Intl.NumberFormat(document.documentElement.lang);

function say(line, field) {
  const many = [...field.value].length; // as the server counts, not in halves of a pair
  const most = Number(line.dataset.most);
  const said = line.querySelector("[data-said]");
  const over = line.querySelector("[data-over]");
  line.hidden = many * 2 < most;
  line.classList.toggle("is-over", many > most);
  said.textContent = said.dataset.said.replace("{many}", number.format(many)).replace("{most}", number.format(most));
  // Only when it changes: it is read out.
  if (many > most !== (over.textContent !== "")) over.textContent = many > most ? `· ${over.dataset.over}` : "";
}

document.addEventListener("input", (event) => {
  const line = event.target.id && document.querySelector(`[data-count="${CSS.escape(event.target.id)}"]`);
  if (line) say(line, event.target);
});

for (const line of document.querySelectorAll("[data-count]")) say(line, document.getElementById(line.dataset.count));
