// <button data-share-text data-share-title hidden>: the device's own way of sharing, where it has one.

for (const button of document.querySelectorAll("button[data-share-text]")) {
  if (!navigator.share) continue;
  button.hidden = false;
  button.addEventListener("click", () => {
    navigator.share({ title: button.dataset.shareTitle, text: button.dataset.shareText }).catch(() => {});
  });
}
