// <button data-save="list-id" data-save-as="name.txt">: the lines of a list as a text file.

for (const button of document.querySelectorAll("button[data-save]")) {
  const list = document.getElementById(button.dataset.save);
  button.addEventListener("click", () => {
    const lines = [...list.querySelectorAll("li")].map((line) => line.textContent.trim());
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/plain" }));
    link.download = button.dataset.saveAs;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
