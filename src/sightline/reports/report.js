const slider = document.getElementById("opacity");
const show = () => document.body.style.setProperty("--alpha", slider.value / 100);
if (slider) {
  slider.addEventListener("input", show);
  show(); // a browser that comes back to the page keeps where the slider stood
}
