const slider = document.getElementById("opacity");
const show = () => document.documentElement.style.setProperty("--alpha", slider.value / 100);
slider.addEventListener("input", show);
show();
