// One face, turned by mouse, finger or keys, with sliders for its light and its expressions. By three.js.
(() => {
  "use strict";
  const canvas = document.querySelector("canvas");
  const form = document.querySelector("form");
  const message = document.querySelector(".message");
  const data = JSON.parse(document.getElementById("face").textContent);

  let renderer;
  try {
    renderer = new THREE.WebGLRenderer({ canvas, antialias: true, preserveDrawingBuffer: true });
  } catch (error) {
    message.textContent = "This browser has no WebGL: the face cannot be shown in 3-D.";
    return;
  }
  renderer.outputEncoding = THREE.sRGBEncoding;
  const scene = new THREE.Scene();
  scene.background = new THREE.Color(0xf5f5f5);
  const camera = new THREE.PerspectiveCamera(24, 1, 0.01, 10);
  const key = new THREE.DirectionalLight(0xffffff, 1);
  const sky = new THREE.HemisphereLight(0xffffff, 0x998877, 1);
  scene.add(key, key.target, sky);
  const head = new THREE.Group();
  scene.add(head);

  let mesh, looks, size = 0.2, yaw = 0, pitch = 0, zoom = 1, due = false;

  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer;

  function show(gltf) {
    gltf.scene.traverse(part => { if (part.isMesh) mesh = part; });
    const given = mesh.material;
    const colours = { map: given.map, vertexColors: given.vertexColors, side: THREE.DoubleSide };
    looks = {
      lit: given,
      plain: new THREE.MeshBasicMaterial(colours),
      shape: new THREE.MeshStandardMaterial({ color: 0xb0b0b0, roughness: 0.8, side: THREE.DoubleSide }),
    };
    mesh.geometry.computeBoundingBox();
    const box = new THREE.Box3().setFromBufferAttribute(mesh.geometry.attributes.position);
    size = box.getSize(new THREE.Vector3()).length();
    mesh.position.sub(box.getCenter(new THREE.Vector3()));
    mesh.frustumCulled = false; // its bounds do not follow expressions
    head.add(mesh);
    addSliders(Object.entries(mesh.morphTargetDictionary || {}));
    redraw();
  }

  function addSliders(targets) {
    const box = document.querySelector(".sliders");
    if (!targets.length) box.textContent = "This face has no expressions.";
    for (const [name, number] of targets) {
      const label = document.createElement("label");
      const slider = document.createElement("input");
      Object.assign(slider, { type: "range", name, min: data.limits[0], max: data.limits[1], step: "any" });
      slider.defaultValue = "0";
      slider.value = "0";
      slider.dataset.target = number;
      label.append(name, slider);
      box.append(label);
    }
  }

  function draw() {
    due = false;
    if (!mesh) return;
    const { azimuth, elevation, strength, plain, shape } = form.elements;
    for (const slider of form.querySelectorAll("[data-target]")) {
      mesh.morphTargetInfluences[slider.dataset.target] = Number(slider.value);
    }
    mesh.material = shape.checked ? looks.shape : plain.checked ? looks.plain : looks.lit;
    const [a, e] = [azimuth, elevation].map(slider => slider.value * Math.PI / 180);
    key.position.set(Math.sin(a) * Math.cos(e), Math.sin(e), Math.cos(a) * Math.cos(e));
    key.intensity = 0.75 * strength.value;
    sky.intensity = 0.45 * strength.value;
    head.rotation.set(pitch, yaw, 0, "XYZ");
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    renderer.setPixelRatio(window.devicePixelRatio || 1);
    renderer.setSize(width, height, false);
    camera.aspect = width / height;
    camera.position.z = 1.9 * size * zoom / Math.min(1, camera.aspect);
    camera.updateProjectionMatrix();
    renderer.render(scene, camera);
  }

  function redraw() {
    if (!due) { due = true; requestAnimationFrame(draw); }
  }

  function turn(x, y) {
    yaw += x;
    pitch = Math.max(-1.3, Math.min(1.3, pitch + y));
    redraw();
  }

  function nearer(factor) {
    zoom = Math.max(0.3, Math.min(2.5, zoom * factor));
    redraw();
  }

  // Where the mouse's button or each finger is; one turns, two come nearer as they part.
  const held = new Map();
  const apart = () => { const [a, b] = [...held.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]); };
  canvas.addEventListener("pointerdown", event => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, [event.clientX, event.clientY]);
  });
  canvas.addEventListener("pointermove", event => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const distance = held.size === 2 ? apart() : 0;
    held.set(event.pointerId, [event.clientX, event.clientY]);
    if (held.size === 1) turn((event.clientX - before[0]) * 0.01, (event.clientY - before[1]) * 0.01);
    else if (held.size === 2) nearer(Math.max(distance, 1) / Math.max(apart(), 1));
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(end, event => held.delete(event.pointerId));
  }
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    nearer(Math.exp(event.deltaY * 0.001));
  }, { passive: false });
  canvas.addEventListener("keydown", event => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
    if (step) { event.preventDefault(); turn(...step); }
    if (event.key === "+" || event.key === "=") nearer(0.9); // the same key, with and without shift
    if (event.key === "-") nearer(1 / 0.9);
  });
  form.addEventListener("input", redraw);
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => { [yaw, pitch, zoom] = [0, 0, 1]; setTimeout(redraw); });
  new ResizeObserver(redraw).observe(canvas);
  new THREE.GLTFLoader().parse(bytes(data.glb), "", show, error => {
    message.textContent = `The face cannot be read: ${error.message || error}`;
  });
})();
