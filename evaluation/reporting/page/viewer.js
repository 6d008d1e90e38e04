// Two faces side by side, turned together by mouse, finger or arrow keys. Plain WebGL, nothing is loaded.
(() => {
  "use strict";
  const viewer = document.querySelector(".viewer");
  const canvas = viewer.querySelector("canvas");
  const choices = Object.fromEntries([...viewer.querySelectorAll("select")].map(s => [s.name, s]));
  const shown = viewer.querySelectorAll(".shown span");
  const message = viewer.querySelector(".message");
  const data = JSON.parse(document.getElementById("faces").textContent);

  const gl = canvas.getContext("webgl", { antialias: true, preserveDrawingBuffer: true });
  if (!gl || (data.wide && !gl.getExtension("OES_element_index_uint"))) {
    message.textContent = "This browser has no WebGL: faces in 3-D cannot be shown.";
    canvas.hidden = true;
    return;
  }

  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer;
  const Ids = data.wide ? Uint32Array : Uint16Array;
  const ids = new Ids(bytes(data.triangles));
  const decoded = new Map();

  // Positions are whole steps of data.step mm; normals are not shipped, they follow from the positions.
  function mesh(face) {
    if (!decoded.has(face)) {
      const steps = new Int16Array(bytes(face.positions));
      const positions = Float32Array.from(steps, value => value * data.step);
      decoded.set(face, {
        positions: buffer(gl.ARRAY_BUFFER, positions),
        normals: buffer(gl.ARRAY_BUFFER, normals(positions)),
        colours: buffer(gl.ARRAY_BUFFER, new Uint8Array(bytes(face.colours))),
      });
    }
    return decoded.get(face);
  }

  function normals(p) {
    const sums = new Float32Array(p.length);
    for (let t = 0; t < ids.length; t += 3) {
      const [a, b, c] = [3 * ids[t], 3 * ids[t + 1], 3 * ids[t + 2]];
      const u = [p[b] - p[a], p[b + 1] - p[a + 1], p[b + 2] - p[a + 2]];
      const v = [p[c] - p[a], p[c + 1] - p[a + 1], p[c + 2] - p[a + 2]];
      const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const corner of [a, b, c]) for (let i = 0; i < 3; i++) sums[corner + i] += n[i];
    }
    return sums; // their length does not matter to the shader
  }

  function buffer(target, content) {
    const made = gl.createBuffer();
    gl.bindBuffer(target, made);
    gl.bufferData(target, content, gl.STATIC_DRAW);
    return made;
  }

  function shader(kind, source) {
    const made = gl.createShader(kind);
    gl.shaderSource(made, source);
    gl.compileShader(made);
    if (!gl.getShaderParameter(made, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(made));
    return made;
  }

  const program = gl.createProgram();
  gl.attachShader(program, shader(gl.VERTEX_SHADER, `
    attribute vec3 position, normal, colour;
    uniform mat3 turn;
    uniform vec3 centre;
    uniform vec2 scale;
    varying vec3 facing, skin;
    void main() {
      vec3 p = turn * (position - centre);
      facing = turn * normal;
      skin = colour;
      gl_Position = vec4(p.xy * scale, -p.z * min(scale.x, scale.y) * 0.3, 1.0 - p.z * 0.0012);
    }`));
  gl.attachShader(program, shader(gl.FRAGMENT_SHADER, `
    precision mediump float;
    varying vec3 facing, skin;
    void main() {
      vec3 n = normalize(facing);
      float light = 0.35 + 0.55 * max(dot(n, normalize(vec3(0.3, 0.4, 1.0))), 0.0)
                         + 0.15 * max(dot(n, normalize(vec3(-0.8, 0.1, 0.6))), 0.0);
      gl_FragColor = vec4(pow(pow(skin, vec3(2.2)) * light, vec3(1.0 / 2.2)), 1.0);
    }`));
  gl.linkProgram(program);
  gl.useProgram(program);
  gl.enable(gl.DEPTH_TEST);
  gl.enable(gl.SCISSOR_TEST);
  const place = Object.fromEntries(["position", "normal", "colour"].map(n => [n, gl.getAttribLocation(program, n)]));
  const uniform = Object.fromEntries(["turn", "centre", "scale"].map(n => [n, gl.getUniformLocation(program, n)]));
  Object.values(place).forEach(location => gl.enableVertexAttribArray(location));
  buffer(gl.ELEMENT_ARRAY_BUFFER, ids);

  let yaw = -0.35, pitch = 0.05, due = false;

  function turn() {
    const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    return [cy, sp * sy, -cp * sy, 0, cp, sp, sy, -sp * cy, cp * cy]; // pitch after yaw, by columns
  }

  function half(x, width, height, face) {
    gl.viewport(x, 0, width, height);
    gl.scissor(x, 0, width, height);
    gl.clearColor(0.96, 0.96, 0.96, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const part = mesh(face);
    for (const [name, source, kind, unit] of [
      ["position", part.positions, gl.FLOAT, false], ["normal", part.normals, gl.FLOAT, false],
      ["colour", part.colours, gl.UNSIGNED_BYTE, true],
    ]) {
      gl.bindBuffer(gl.ARRAY_BUFFER, source);
      gl.vertexAttribPointer(place[name], 3, kind, unit, 0, 0);
    }
    const size = 0.9 / data.radius;
    const fit = Math.min(width, height);
    gl.uniformMatrix3fv(uniform.turn, false, turn());
    gl.uniform3fv(uniform.centre, data.centre);
    gl.uniform2f(uniform.scale, size * fit / width, size * fit / height);
    gl.drawElements(gl.TRIANGLES, ids.length, data.wide ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT, 0);
  }

  function draw() {
    due = false;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    const width = canvas.width >> 1;
    ["left", "right"].forEach((side, index) => {
      const variant = choices[side].selectedIndex;
      half(index * width, width, canvas.height, data.faces[choices.person.selectedIndex][variant]);
      shown[index].textContent = choices[side].value;
    });
  }

  function redraw() {
    if (!due) { due = true; requestAnimationFrame(draw); }
  }

  function by(x, y) {
    yaw += x;
    pitch = Math.max(-1.2, Math.min(1.2, pitch + y));
    redraw();
  }

  let held = null; // the pointer that turns, and where it was
  canvas.addEventListener("pointerdown", event => {
    if (held || event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    held = [event.pointerId, event.clientX, event.clientY];
  });
  canvas.addEventListener("pointermove", event => {
    if (!held || held[0] !== event.pointerId) return;
    by((event.clientX - held[1]) * 0.01, (event.clientY - held[2]) * 0.01);
    held = [event.pointerId, event.clientX, event.clientY];
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(end, event => { if (held && held[0] === event.pointerId) held = null; });
  }
  canvas.addEventListener("keydown", event => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
    if (step) { event.preventDefault(); by(...step); }
  });
  Object.values(choices).forEach(choice => choice.addEventListener("change", redraw));
  new ResizeObserver(redraw).observe(canvas);
  draw();
})();
