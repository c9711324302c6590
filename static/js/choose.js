// <form data-choose data-currency="EUR">: says how many of its boxes are ticked and what they come to; ticks all or none.

for (const form of document.querySelectorAll("form[data-choose]")) {
  const boxes = [...form.querySelectorAll("input[type=checkbox][data-minor]")];
  const said = form.querySelector("[data-chosen]");
  const all = form.querySelector("[data-choose-all]");
  const money = new Intl.NumberFormat(document.documentElement.lang, { style: "currency", currency: form.dataset.currency });
  const unit = 10 ** money.resolvedOptions().maximumFractionDigits;

  const say = () => {
    const ticked = boxes.filter((box) => box.checked);
    const sum = ticked.reduce((minor, box) => minor + Number(box.dataset.minor), 0);
    said.textContent = said.dataset.chosen
      .replace("{some}", ticked.length).replace("{all}", boxes.length).replace("{sum}", money.format(sum / unit));
    all.textContent = ticked.length ? all.dataset.chooseNone : all.dataset.chooseAll;
  };

  all.addEventListener("click", () => {
    const tick = !boxes.some((box) => box.checked);
    for (const box of boxes) box.checked = tick;
    say();
  });
  form.addEventListener("change", say);
  say();
}
