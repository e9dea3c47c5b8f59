// The book's live figure: a random network, measured and drawn while its settings change. One file is both the custom
// element <init-lab> of the pages and the widget of `ini.lab(...)` in Jupyter. It loads nothing and computes all itself.

// ------------------------------------------------------------------------------------------------------ activations

const { abs, exp, expm1, log, log10, max, min, round, sqrt, tanh, PI } = Math;
const ALPHA = 1.6732632423543772, LAMBDA = 1.0507009873554805;
const sigmoid = (x) => 1 / (1 + exp(-x));
const elu = (x) => (x > 0 ? x : expm1(x));

/** Phi(x) of N(0, 1), relative error 1e-7 in the lower tail too: Numerical Recipes' erfc. */
function normalCdf(x) {
  const z = abs(x) / Math.SQRT2, t = 1 / (1 + z / 2);
  const tail = [0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368]
    .reduce((sum, c) => sum * t + c, 0);
  const upper = (t / 2) * exp(-z * z - 1.26551223 + t * tail);
  return x > 0 ? 1 - upper : upper;
}

/** phi and phi' of each activation; phi' also gets phi(z), which is cheaper for some. `top` is the largest sigma_w on offer. */
export const ACTIVATIONS = {
  linear: { label: "linear", phi: (z) => z, slope: () => 1 },
  tanh: { label: "tanh", phi: tanh, slope: (z, h) => 1 - h * h, bounded: true },
  sigmoid: { label: "sigmoid", phi: sigmoid, slope: (z, h) => h * (1 - h), bounded: true, top: 24 },
  relu: { label: "ReLU", phi: (z) => (z > 0 ? z : 0), slope: (z) => (z > 0 ? 1 : 0) },
  leaky_relu: { label: "leaky ReLU", phi: (z) => (z > 0 ? z : 0.01 * z), slope: (z) => (z > 0 ? 1 : 0.01) },
  elu: { label: "ELU", phi: elu, slope: (z) => (z > 0 ? 1 : exp(z)) },
  selu: {
    label: "SELU",
    phi: (z) => LAMBDA * (z > 0 ? z : ALPHA * expm1(z)),
    slope: (z) => LAMBDA * (z > 0 ? 1 : ALPHA * exp(z)),
  },
  gelu: {
    label: "GELU",
    phi: (z) => max(z, -40) * normalCdf(z),
    slope: (z) => normalCdf(z) + (abs(z) > 40 ? 0 : (z * exp((-z * z) / 2)) / sqrt(2 * PI)),
  },
  silu: {
    label: "SiLU",
    phi: (z) => max(z, -700) * sigmoid(z),
    slope: (z) => sigmoid(z) * (1 + max(-700, min(700, z)) * sigmoid(-z)),
  },
};

// ---------------------------------------------------------------------------------------------------------- schemes

// What a scheme draws from (with variance 1), and the sigma_w = std * sqrt(fan_in) it has between layers of n units.
const random = (label, law, sigmaW, light, dark) => ({ label, law, sigmaW, light, dark });
const BLUE = ["#0072B2", "#5BB0EC"], RED = ["#B84300", "#FF8F55"], GREEN = ["#009E73", "#3ECF9F"], SKY = ["#2A9DB5", "#5CC3DA"];

export const SCHEMES = {
  zeros: { label: "zeros", value: 0, sigmaW: () => 0, light: "#5F5F5F", dark: "#B0B0B0" },
  constant: { label: "constant 0.1", value: 0.1, sigmaW: () => 0, light: "#B2588A", dark: "#E48FBB" },
  small_random: random("small random, 0.01", "normal", (n) => 0.01 * sqrt(n), "#C28100", "#F0B93C"),
  xavier_normal: random("Xavier normal", "normal", () => 1, ...BLUE),
  xavier_uniform: random("Xavier uniform", "uniform", () => 1, ...BLUE),
  he_normal: random("He normal", "normal", () => Math.SQRT2, ...RED),
  he_uniform: random("He uniform", "uniform", () => Math.SQRT2, ...RED),
  lecun_normal: random("LeCun normal", "normal", () => 1, ...GREEN),
  lecun_uniform: random("LeCun uniform", "uniform", () => 1, ...GREEN),
  lecun_truncated: random("LeCun truncated", "truncated_normal", () => 1, ...GREEN),
  orthogonal: random("orthogonal, gain 1", "orthogonal", () => 1, ...SKY),
  orthogonal_sqrt2: random("orthogonal, gain √2", "orthogonal", () => Math.SQRT2, ...SKY),
  free: random("free σ_w", "normal", null, "#5B4BC4", "#AEA2FF"),
};

// A button sets what is here and nothing else, and says all of it: its label, and under that its note and what else it sets.
export const PRESETS = {
  zero: { label: "Zero", note: "all weights 0", scheme: "zeros" },
  constant: { label: "Constant", note: "all weights 0.1", scheme: "constant" },
  small: { label: "0.01", note: "random, std 0.01", scheme: "small_random" },
  order: { label: "Order", activation: "tanh", scheme: "free", sigmaW: 0.7, sigmaB: 0 },
  chaos: { label: "Chaos", activation: "tanh", scheme: "free", sigmaW: 2.5, sigmaB: 0 },
  saturated: { label: "Saturated", activation: "tanh", scheme: "free", sigmaW: 4, sigmaB: 0 },
  "xavier-tanh": { label: "Xavier, tanh", scheme: "xavier_normal", activation: "tanh", sigmaB: 0 },
  "xavier-relu": { label: "Xavier, ReLU", scheme: "xavier_normal", activation: "relu", sigmaB: 0 },
  "xavier-sigmoid": { label: "Xavier, sigmoid", scheme: "xavier_normal", activation: "sigmoid", sigmaB: 0 },
  "he-relu": { label: "He, ReLU", scheme: "he_normal", activation: "relu", sigmaB: 0 },
  "he-tanh": { label: "He, tanh", scheme: "he_normal", activation: "tanh", sigmaB: 0 },
  "lecun-selu": { label: "LeCun, SELU", scheme: "lecun_normal", activation: "selu", sigmaB: 0 },
  orthogonal: { label: "Orthogonal, linear", scheme: "orthogonal", activation: "linear", sigmaB: 0 },
  "critical-bias": { label: "Biases, critical", activation: "tanh", scheme: "free", sigmaW: 1.4, sigmaB: 0.3 },
  "order-bias": { label: "Biases, order", note: "Xavier", activation: "tanh", scheme: "xavier_normal", sigmaB: 1 },
  dead: { label: "Narrow ReLU", note: "He", scheme: "he_normal", activation: "relu", depth: 60, width: 8, seed: 1, sigmaB: 0 },
};

export const LIMITS = { depth: [1, 60], width: [8, 256], sigmaB: [0, 2], seed: [0, 2 ** 32 - 1] };
const START = { scheme: "he_normal", activation: "relu", depth: 30, width: 100, sigmaW: 1, sigmaB: 0, seed: 1 };
const FIRST = ["zero", "small", "xavier-tanh", "xavier-relu", "he-relu"];
const IN_SIGHT = 3; // buttons that are there before anything is unfolded

/** The largest sigma_w of the slider and of the phase diagram. */
export const topSigmaW = (activation) => ACTIVATIONS[activation].top ?? 4;

const within = (value, [low, high], fallback) => (Number.isFinite(value) ? min(high, max(low, value)) : fallback);

/** Settings that are complete and within their ranges, whatever was given. */
export function sane(given) {
  const s = { ...START, ...given };
  if (!Object.hasOwn(SCHEMES, s.scheme)) s.scheme = START.scheme;
  if (!Object.hasOwn(ACTIVATIONS, s.activation)) s.activation = START.activation;
  for (const name of ["depth", "width", "seed"]) s[name] = round(within(+s[name], LIMITS[name], START[name]));
  s.sigmaB = within(+s.sigmaB, LIMITS.sigmaB, 0);
  const own = SCHEMES[s.scheme].sigmaW;
  s.sigmaW = own ? own(s.width) : within(+s.sigmaW, [0, topSigmaW(s.activation)], 1);
  return s;
}

// ------------------------------------------------------------------------------------------------------------ draws

/** sfc32, seeded with three words: a function that returns the next integer below 2^32. */
export function rng(a, b, c) {
  const words = new Uint32Array(512);
  let counter = 1, at = words.length;
  const refill = (count) => {
    let x = a, y = b, z = c, n = counter;
    for (let i = 0; i < count; i++) {
      const out = (((x + y) | 0) + n) | 0;
      n = (n + 1) | 0;
      x = y ^ (y >>> 9);
      y = (z + (z << 3)) | 0;
      z = (((z << 21) | (z >>> 11)) + out) | 0;
      words[i] = out;
    }
    [a, b, c, counter] = [x, y, z, n];
    at = 0;
  };
  refill(16); // what is still like the seed
  at = words.length;
  return () => {
    if (at === words.length) refill(at);
    return words[at++];
  };
}

const even = (next) => (next() + 0.5) / 2 ** 31 - 1; // uniform in (-1, 1)

// The ziggurat of Marsaglia & Tsang (2000) in the form of Doornik (2005): 128 layers of one area under the normal density.
const TAIL = 3.442619855899, AREA = 9.91256303526217e-3, EDGE = new Float64Array(129), RATIO = new Float64Array(128);
EDGE[0] = AREA / exp((-TAIL * TAIL) / 2);
EDGE[1] = TAIL;
for (let i = 2; i < 128; i++) EDGE[i] = sqrt(-2 * log(AREA / EDGE[i - 1] + exp(-(EDGE[i - 1] ** 2) / 2)));
for (let i = 0; i < 128; i++) RATIO[i] = EDGE[i + 1] / EDGE[i];

function normal(next) {
  for (;;) {
    const word = next(), layer = word & 127, u = ((word >>> 7) + 0.5) / 2 ** 24 - 1;
    if (abs(u) < RATIO[layer]) return u * EDGE[layer];
    if (layer === 0) {
      for (;;) {
        const x = log((next() + 0.5) / 2 ** 32) / TAIL, y = log((next() + 0.5) / 2 ** 32);
        if (-2 * y > x * x) return u < 0 ? x - TAIL : TAIL - x;
      }
    }
    const x = u * EDGE[layer], low = exp((x * x - EDGE[layer] ** 2) / 2), high = exp((x * x - EDGE[layer + 1] ** 2) / 2);
    if (high + ((next() + 0.5) / 2 ** 32) * (low - high) < 1) return x;
  }
}

const CUT = 2, CUT_STD = 0.8796256610342398; // what truncation at 2 leaves of a standard deviation of 1

/** Draw `count` values of mean 0 and variance 1; for "orthogonal", sqrt(n) times a matrix with orthonormal rows. */
export function draw(law, count, next) {
  const out = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    if (law === "uniform") out[i] = sqrt(3) * even(next);
    else do out[i] = normal(next); while (law === "truncated_normal" && abs(out[i]) > CUT);
    if (law === "truncated_normal") out[i] /= CUT_STD;
  }
  if (law === "orthogonal") orthonormalize(out, sqrt(count));
  return out;
}

/** Gram-Schmidt on the rows of a square normal matrix: uniform among all orthogonal matrices, times sqrt(n). */
function orthonormalize(rows, n) {
  for (let i = 0; i < n; i++) {
    const own = rows.subarray(i * n, i * n + n);
    for (let k = 0; k < i; k++) {
      let dot = 0;
      const at = k * n;
      for (let j = 0; j < n; j++) dot += own[j] * rows[at + j];
      for (let j = 0; j < n; j++) own[j] -= dot * rows[at + j];
    }
    let norm = 0;
    for (let j = 0; j < n; j++) norm += own[j] * own[j];
    norm = sqrt(norm);
    for (let j = 0; j < n; j++) own[j] /= norm;
  }
  const root = sqrt(n);
  for (let i = 0; i < rows.length; i++) rows[i] *= root;
}

export const BATCH = 16, COARSE = 4;
const STREAMS = { weights: 1, biases: 2, inputs: 3, gradient: 4 };
const padded = (n) => (n + 3) & ~3; // rows are multiples of four long, so that products need no special ends

/** The draws of one seed, width and law, made when first asked for: sigma_w only scales them. */
export class Draws {
  constructor(seed, width, law) {
    Object.assign(this, { seed, width, law, stride: padded(width), weights: [], biases: [] });
    this.inputs = this.batch("inputs");
    this.gradient = this.batch("gradient");
  }
  fits(seed, width, law) {
    return this.seed === seed && this.width === width && this.law === law;
  }
  stream(name, layer = 0) {
    return rng(this.seed, this.width * 64 + layer, STREAMS[name]);
  }
  rows(values, count, Kind) {
    const { width, stride } = this, out = new Kind(padded(count) * stride);
    for (let i = 0; i < count; i++) out.set(values.subarray(i * width, i * width + width), i * stride);
    return out;
  }
  batch(name) {
    return this.rows(draw("normal", BATCH * this.width, this.stream(name)), BATCH, Float64Array);
  }
  weight(layer) {
    const n = this.width;
    return (this.weights[layer] ??= this.rows(draw(this.law, n * n, this.stream("weights", layer)), n, Float32Array));
  }
  bias(layer) {
    return (this.biases[layer] ??= draw("normal", this.width, this.stream("biases", layer)));
  }
}

// ---------------------------------------------------------------------------------------------------------- network

/** Z = scale * H W^T for `batch` rows of H, in blocks of four rows by four units. */
function times(H, W, Z, m, batch, scale) {
  for (let b = 0; b < batch; b += 4) {
    const p0 = b * m, p1 = p0 + m, p2 = p1 + m, p3 = p2 + m;
    for (let i = 0; i < m; i += 4) {
      const w0 = i * m, w1 = w0 + m, w2 = w1 + m, w3 = w2 + m;
      let a00 = 0, a01 = 0, a02 = 0, a03 = 0, a10 = 0, a11 = 0, a12 = 0, a13 = 0;
      let a20 = 0, a21 = 0, a22 = 0, a23 = 0, a30 = 0, a31 = 0, a32 = 0, a33 = 0;
      for (let j = 0; j < m; j++) {
        const x0 = W[w0 + j], x1 = W[w1 + j], x2 = W[w2 + j], x3 = W[w3 + j];
        const h0 = H[p0 + j], h1 = H[p1 + j], h2 = H[p2 + j], h3 = H[p3 + j];
        a00 += h0 * x0; a01 += h0 * x1; a02 += h0 * x2; a03 += h0 * x3;
        a10 += h1 * x0; a11 += h1 * x1; a12 += h1 * x2; a13 += h1 * x3;
        a20 += h2 * x0; a21 += h2 * x1; a22 += h2 * x2; a23 += h2 * x3;
        a30 += h3 * x0; a31 += h3 * x1; a32 += h3 * x2; a33 += h3 * x3;
      }
      Z[p0 + i] = scale * a00; Z[p0 + i + 1] = scale * a01; Z[p0 + i + 2] = scale * a02; Z[p0 + i + 3] = scale * a03;
      Z[p1 + i] = scale * a10; Z[p1 + i + 1] = scale * a11; Z[p1 + i + 2] = scale * a12; Z[p1 + i + 3] = scale * a13;
      Z[p2 + i] = scale * a20; Z[p2 + i + 1] = scale * a21; Z[p2 + i + 2] = scale * a22; Z[p2 + i + 3] = scale * a23;
      Z[p3 + i] = scale * a30; Z[p3 + i + 1] = scale * a31; Z[p3 + i + 2] = scale * a32; Z[p3 + i + 3] = scale * a33;
    }
  }
}

/** G = scale * D W: the way back through the same weights. */
function timesTransposed(D, W, G, m, batch, scale) {
  for (let b = 0; b < batch; b += 4) {
    const p0 = b * m, p1 = p0 + m, p2 = p1 + m, p3 = p2 + m;
    for (let j = 0; j < m; j += 4) {
      let a00 = 0, a01 = 0, a02 = 0, a03 = 0, a10 = 0, a11 = 0, a12 = 0, a13 = 0;
      let a20 = 0, a21 = 0, a22 = 0, a23 = 0, a30 = 0, a31 = 0, a32 = 0, a33 = 0;
      for (let i = 0, w = j; i < m; i++, w += m) {
        const x0 = W[w], x1 = W[w + 1], x2 = W[w + 2], x3 = W[w + 3];
        const d0 = D[p0 + i], d1 = D[p1 + i], d2 = D[p2 + i], d3 = D[p3 + i];
        a00 += d0 * x0; a01 += d0 * x1; a02 += d0 * x2; a03 += d0 * x3;
        a10 += d1 * x0; a11 += d1 * x1; a12 += d1 * x2; a13 += d1 * x3;
        a20 += d2 * x0; a21 += d2 * x1; a22 += d2 * x2; a23 += d2 * x3;
        a30 += d3 * x0; a31 += d3 * x1; a32 += d3 * x2; a33 += d3 * x3;
      }
      G[p0 + j] = scale * a00; G[p0 + j + 1] = scale * a01; G[p0 + j + 2] = scale * a02; G[p0 + j + 3] = scale * a03;
      G[p1 + j] = scale * a10; G[p1 + j + 1] = scale * a11; G[p1 + j + 2] = scale * a12; G[p1 + j + 3] = scale * a13;
      G[p2 + j] = scale * a20; G[p2 + j + 1] = scale * a21; G[p2 + j + 2] = scale * a22; G[p2 + j + 3] = scale * a23;
      G[p3 + j] = scale * a30; G[p3 + j + 1] = scale * a31; G[p3 + j + 2] = scale * a32; G[p3 + j + 3] = scale * a33;
    }
  }
}

/** The product with a matrix of one constant, either way: each row's sum, everywhere. */
function timesConstant(H, Z, n, m, batch, value) {
  for (let b = 0; b < batch; b++) {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += H[b * m + j];
    Z.fill(value * sum, b * m, b * m + n);
  }
}

const rmsOf = (x, n, m, batch) => {
  let sum = 0;
  for (let b = 0; b < batch; b++) for (let i = b * m; i < b * m + n; i++) sum += x[i] * x[i];
  return sqrt(sum / (batch * n));
};

const FLAT = 0.01; // a unit with a smaller |phi'| on an input is saturated, as in the glossary

/**
 * Pass a batch forward and a random gradient of size 1 at the output backward; a generator that yields after each layer.
 * z_l = W_l h_{l-1} + b_l and h_l = phi(z_l) for l = 1 ... L, all of n units; the last layer is linear: h_L = z_L.
 * Returns rms of h_l and of the gradient with respect to z_l by layer (l = 0: the inputs), the values themselves, and
 * what `verdict` needs.
 */
export function* passes(settings, draws, batch = BATCH) {
  const { depth: L, width: n, sigmaW, sigmaB } = settings, { phi, slope } = ACTIVATIONS[settings.activation];
  const m = draws.stride, value = SCHEMES[settings.scheme].value, scale = sigmaW / sqrt(n);
  const product = (kernel, x, out, layer) =>
    value === undefined ? kernel(x, draws.weight(layer), out, m, batch, scale) : timesConstant(x, out, n, m, batch, value);
  const h = [draws.inputs], slopes = [null], delta = [], forward = [], backward = [];
  let flat = 0, deadLayer = 0, copies = L > 1;
  forward[0] = rmsOf(h[0], n, m, batch);
  for (let l = 1; l <= L; l++) {
    const z = new Float64Array(batch * m), d = l < L ? new Float64Array(batch * m) : null, bias = sigmaB && draws.bias(l);
    product(times, h[l - 1], z, l);
    let off = 0;
    for (let b = 0; b < batch; b++) {
      for (let i = 0, at = b * m; i < n; i++, at++) {
        if (sigmaB) z[at] += sigmaB * bias[i];
        if (d) {
          const before = z[at];
          z[at] = phi(before);
          d[at] = slope(before, z[at]);
          if (abs(d[at]) < FLAT) flat++;
          if (d[at] === 0) off++;
        }
        if (d && z[at] !== z[b * m]) copies = false;
      }
    }
    if (d && off === batch * n) deadLayer ||= l;
    h[l] = z;
    slopes[l] = d;
    forward[l] = rmsOf(z, n, m, batch);
    yield;
  }
  delta[L] = draws.gradient;
  for (let l = L; l >= 1; l--) {
    backward[l] = rmsOf(delta[l], n, m, batch);
    const back = (delta[l - 1] = new Float64Array(batch * m));
    product(timesTransposed, delta[l], back, l);
    if (l > 1) for (let i = 0; i < back.length; i++) back[i] *= slopes[l - 1][i];
    yield;
  }
  backward[0] = rmsOf(delta[0], n, m, batch);
  flat /= batch * n * max(1, L - 1);
  return { settings, batch, stride: m, h, delta, forward, backward, flat, deadLayer, copies };
}

const lawOf = (settings) => SCHEMES[settings.scheme].law ?? "normal";

/** Run `passes` to its end. */
export function measure(settings, draws = new Draws(settings.seed, settings.width, lawOf(settings)), batch = BATCH) {
  const run = passes(settings, draws, batch);
  for (;;) {
    const step = run.next();
    if (step.done) return step.value;
  }
}

/** Weights (n x n, row by row), biases, inputs and output gradient (batch x n) as plain arrays, for tests and the curious. */
export function parameters(given) {
  const settings = sane(given), { depth, width: n, sigmaW, sigmaB } = settings;
  const draws = new Draws(settings.seed, n, lawOf(settings)), m = draws.stride, value = SCHEMES[settings.scheme].value;
  const plain = (rows, count, scale) => Array.from({ length: count * n }, (_, k) => scale * rows[((k / n) | 0) * m + (k % n)]);
  const layers = Array.from({ length: depth }, (_, l) => l + 1);
  return {
    weights: layers.map((l) => (value === undefined ? plain(draws.weight(l), n, sigmaW / sqrt(n)) : Array(n * n).fill(value))),
    biases: layers.map((l) => Array.from(draws.bias(l), (b) => sigmaB * b)),
    inputs: plain(draws.inputs, BATCH, 1),
    gradient: plain(draws.gradient, BATCH, 1),
  };
}

// ----------------------------------------------------------------------------------------------------------- theory

// E f(xi) for xi ~ N(0, 1): Gauss-Legendre sums over panels that shrink towards 0, where saturated functions change.
const POINTS = [0.1834346424956498, 0.525532409916329, 0.7966664774136267, 0.9602898564975363];
const SHARES = [0.362683783378362, 0.3137066458778873, 0.2223810344533745, 0.1012285362903763];
const EDGES = [0, 1 / 4096, 1 / 1024, 1 / 256, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 1.5, 2, 3, 4, 5, 6.5, 9];
const XI = [], SHARE = [];
for (let k = 1; k < EDGES.length; k++) {
  const half = (EDGES[k] - EDGES[k - 1]) / 2, middle = EDGES[k] - half;
  POINTS.forEach((point, p) => {
    for (const x of [middle - half * point, middle + half * point]) {
      XI.push(x);
      SHARE.push((half * SHARES[p] * exp((-x * x) / 2)) / sqrt(2 * PI));
    }
  });
}

/** [E phi(z)^2, E phi'(z)^2] for z ~ N(0, q). */
export function moments(activation, q) {
  const { phi, slope } = ACTIVATIONS[activation], scale = sqrt(q);
  let values = 0, slopes = 0;
  for (let k = 0; k < XI.length; k++) {
    for (const z of [scale * XI[k], -scale * XI[k]]) {
      const h = phi(z), d = slope(z, h);
      values += SHARE[k] * h * h;
      slopes += SHARE[k] * d * d;
    }
  }
  return [values, slopes];
}

/** Mean-field rms of h_l and of the gradient by layer, l = 0 ... L, as `passes` measures them; null for equal weights. */
export function theory(given) {
  const { scheme, activation, depth: L, sigmaW, sigmaB } = given;
  if (SCHEMES[scheme].value) return null;
  const forward = [1], slopes = [];
  let square = 1;
  for (let l = 1; l <= L; l++) {
    const q = sigmaW ** 2 * square + sigmaB ** 2;
    [square, slopes[l]] = l < L ? moments(activation, q) : [q, 1];
    forward[l] = sqrt(square);
  }
  const backward = [];
  let delta = 1;
  for (let l = L; l >= 0; l--) {
    backward[l] = delta;
    delta *= sigmaW * (l > 1 ? sqrt(slopes[l - 1]) : 1);
  }
  return { forward, backward };
}

const LOW = -12, HIGH = 12, A_DECADE = 12;
const TABLES = {};

/** log10 of both moments on a grid of log10 q: what searches over many settings read. */
function table(activation) {
  return (TABLES[activation] ??= Array.from({ length: (HIGH - LOW) * A_DECADE + 1 }, (_, k) =>
    moments(activation, 10 ** (LOW + k / A_DECADE)).map(log10)));
}

function lookUp(rows, q, which) {
  const x = (within(log10(q), [LOW, HIGH], LOW) - LOW) * A_DECADE, k = min(x | 0, rows.length - 2);
  return 10 ** (rows[k][which] + (x - k) * (rows[k + 1][which] - rows[k][which]));
}

/** Where q ends from q = 1, within the table, and chi there. */
function destination(activation, sigmaW, sigmaB) {
  const rows = table(activation), w = sigmaW ** 2, b = sigmaB ** 2;
  let q = 1;
  for (let step = 0; step < 2000; step++) {
    const next = w * lookUp(rows, q, 0) + b, done = abs(next - q) < 1e-7 * q;
    q = next;
    if (done || q < 10 ** LOW || q > 10 ** HIGH) break;
  }
  return [q, w * lookUp(rows, q, 1)];
}

/** chi = sigma_w^2 E phi'^2 where the forward map ends: below 1 in the ordered phase, above 1 in the chaotic one. */
export const chi = (activation, sigmaW, sigmaB) => destination(activation, sigmaW, sigmaB)[1];

/** The sigma_w at which chi passes 1; where it jumps over 1 (GELU and SiLU with small biases), the place of the jump. */
export function criticalSigmaW(activation, sigmaB) {
  let low = 1e-3, high = 1e3;
  while (high / low > 1.0005) {
    const middle = sqrt(low * high);
    if (chi(activation, middle, sigmaB) < 1) low = middle;
    else high = middle;
  }
  const [q, below] = destination(activation, low, sigmaB), above = chi(activation, high, sigmaB);
  return below > 0.9 && above < 1.1 ? refined(activation, q, sigmaB) : sqrt(low * high);
}

/** At a fixed point, chi = 1 is (q - sigma_b^2) E phi'^2 = E phi^2; without a root near `q`, it is a limit: 0 or infinity. */
function refined(activation, q, sigmaB) {
  const excess = (one) => {
    const [value, slope] = moments(activation, one);
    return (one - sigmaB ** 2) * slope - value;
  };
  let low = max(q / 4, sigmaB ** 2), high = q * 4;
  const side = excess(high) > 0;
  if (excess(low) > 0 === side) return moments(activation, q < 1 ? 10 ** LOW : 10 ** HIGH)[1] ** -0.5;
  for (let step = 0; step < 50; step++) {
    const middle = sqrt(low * high);
    if (excess(middle) > 0 === side) high = middle;
    else low = middle;
  }
  return moments(activation, low)[1] ** -0.5;
}

// ---------------------------------------------------------------------------------------------------------- verdict

export const FACTOR = 100, SATURATED = 1 / 3;

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const power = (exponent) => "10" + (exponent === 1 ? "" : String(exponent).replace(/./g, (digit) => RAISED[digit]));

/** A number in two significant digits, or as one digit times a power of ten. */
export function shown(x) {
  if (!Number.isFinite(x)) return "more than " + power(300);
  if (x === 0 || (x >= 0.01 && x < 999.5)) return String(Number(x.toPrecision(2)));
  const [digit, exponent] = x.toExponential(0).split("e");
  return (digit === "1" ? "" : digit + "·") + power(Number(exponent));
}

/**
 * Judge a network at its start, in this order:
 *   symmetric  there are hidden layers, and on every input all units of each have the same activation, to the last bit;
 *   dead       a hidden layer has slope 0 in all units on all inputs, so that no gradient passes it;
 *   saturated  tanh and sigmoid: more than a third of the hidden activations have a slope below 0.01;
 *   exploded   the rms of h_l or of the gradient at z_l, l = 1 ... L, leaves its start (the inputs, the output) by more
 *   vanished   than a factor of 100, upward or downward; what is farthest off in logarithms counts;
 *   alive      none of these.
 * Returns the kind and a sentence with its numbers.
 */
export function verdict({ settings, batch, forward, backward, flat, deadLayer, copies }) {
  const { depth: L, width: n, activation } = settings;
  const sizes = forward.slice(1).map((x, i) => [x / forward[0], i + 1]), gradients = backward.slice(1).map((x, i) => [x / backward[L], i + 1]);
  const distance = ([x]) => (Number.isFinite(x) ? (x === 0 ? 1e9 : abs(log10(x))) : 1e10);
  const farthest = (list) => list.reduce((a, b) => (distance(b) > distance(a) ? b : a));
  const [size, gradient] = [farthest(sizes), farthest([...gradients].reverse())];
  if (copies) {
    const both = size[0] === 0 ? "Here they pass on 0." : "What one does, all do.";
    return ["symmetric", `All ${n} units of a hidden layer are copies. ${both} Their gradients are equal too, so training keeps them equal.`];
  }
  if (deadLayer) {
    return ["dead", `All ${n} units of layer ${deadLayer} are off on all ${batch} inputs. No gradient gets past it, so the layers before it never learn.`];
  }
  const first = gradients[0][0];
  if (ACTIVATIONS[activation].bounded && flat > SATURATED) {
    return ["saturated", `${round(100 * flat)} % of the hidden activations sit where |φ′| < 0.01. The gradient at layer 1 is ${shown(first)} times that at the output.`];
  }
  const back = distance(gradient) > distance(size), [factor, layer] = back ? gradient : size;
  const what = back ? "The gradient" : "The signal", from = back ? "at the output" : "of the inputs";
  if (!(factor <= FACTOR)) return ["exploded", `${what} grows: at layer ${layer} it is ${shown(factor)} times as large as that ${from}.`];
  if (factor < 1 / FACTOR) {
    const left = factor === 0 ? "exactly 0" : `${shown(factor)} of that ${from}`;
    return ["vanished", `${what} fades: at layer ${layer} it is ${left}.`];
  }
  return ["alive", `Over ${L} layer${L > 1 ? "s" : ""}, signal and gradient keep their size within a factor of 100: the signal ends at ${shown(sizes[L - 1][0])}, the gradient at ${shown(first)} times its start.`];
}

// ------------------------------------------------------------------------------------------------- a layer's histogram

const BINS = 41, MOST = 0.999;

/** The values of all units on all inputs at layer `l`; `kind` is "h" or "delta". */
const valuesOf = ({ settings, batch, stride, ...result }, kind, l) => {
  const out = new Float64Array(batch * settings.width);
  for (let b = 0; b < batch; b++) out.set(result[kind][l].subarray(b * stride, b * stride + settings.width), b * settings.width);
  return out;
};

/** The size that all but one of a thousand values stay below: a rare large one must not hide the others. */
function limitOf(values) {
  const sizes = values.map(abs).sort(), at = MOST * (sizes.length - 1), k = at | 0;
  return sizes[k] + (at - k) * (sizes[min(k + 1, sizes.length - 1)] - sizes[k]) || sizes.at(-1) || 1;
}

/** The range of a row of histograms: the largest layer's, so that one sees sizes change. */
function sharedLimit(result, kind) {
  const layers = result[kind].map((rows, l) => ({ l, largest: rows.reduce((most, x) => max(most, abs(x)), 0) }));
  let limit = 0;
  for (const { l, largest } of layers.sort((a, b) => b.largest - a.largest)) {
    if (largest <= limit) break; // neither this layer nor one after it reaches farther
    limit = max(limit, largest ? limitOf(valuesOf(result, kind, l)) : 1);
  }
  return limit;
}

/** What `ini.plots.histograms` shows of a layer: density by bin without the exact zeros, std, their share, and the range. */
export function histogram(result, kind, l) {
  const values = valuesOf(result, kind, l), limit = ((result.limits ??= {})[kind] ??= sharedLimit(result, kind));
  const density = new Float64Array(BINS), width = (2 * limit) / BINS;
  let mean = 0, square = 0, zeros = 0;
  for (const x of values) {
    mean += x / values.length;
    if (x === 0) zeros++;
    else if (abs(x) <= limit) density[min(((x + limit) / width) | 0, BINS - 1)] += 1 / (values.length * width);
  }
  for (const x of values) square += (x - mean) ** 2 / values.length;
  return { density, limit, std: sqrt(square), zeros: zeros / values.length, most: limitOf(values) };
}

// ---------------------------------------------------------------------------------------------------------- drawing

const KINDS = ["alive", "vanished", "exploded", "saturated", "symmetric", "dead"];
const ROWS = 24, DEEPEST = 2; // units in a map; the size, in that of the start, which has the deepest color
const GUTTER = 44; // pixels left of maps and curves
const RAMPS = {
  light: ["#1d5fa8", "#7db3d8", "#fdfdfb", "#ee9f80", "#b2182b"],
  dark: ["#7cc0ff", "#2d69a6", "#171613", "#a4452f", "#ff9d7c"],
};

const bytes = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** 256 opaque colors from negative to positive, as words for an ImageData. */
function ramp(theme) {
  const stops = RAMPS[theme].map(bytes), colors = new Uint32Array(256);
  for (let k = 0; k < 256; k++) {
    const x = (k / 255) * (stops.length - 1), i = min(x | 0, stops.length - 2);
    const [r, g, b] = stops[i].map((c, at) => round(c + (x - i) * (stops[i + 1][at] - c)));
    colors[k] = 0xff000000 | (b << 16) | (g << 8) | r;
  }
  return colors;
}

function paint(canvas, columns, rows, colors, value) {
  if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows), words = new Uint32Array(image.data.buffer);
  for (let y = 0, at = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) words[at++] = colors[within(round(127.5 + 127.5 * value(x, y)), [0, 255], 255)];
  }
  context.putImageData(image, 0, 0);
}

const ends = (values, top) => {
  const finite = values.filter(Number.isFinite), size = max(3, ...finite.map((x) => top * x - 0.3));
  return top * ([3, 6, 9, 12, 18, 24, 36, 48, 72, 96, 150, 200].find((end) => end >= size) ?? 300);
};

/** The curves as SVG: log10 rms by layer, measured and in theory; `ghosts` are earlier draws. */
function curves(result, line, ghosts, width, height) {
  const L = result.settings.depth, bottom = height - 20, inner = width - GUTTER;
  const profiles = [result, ...ghosts, line].filter(Boolean).map((one) => [one.forward.map(log10), one.backward.map(log10)]);
  const all = profiles.flat(2), low = ends(all, -1), high = ends(all, 1), zero = all.includes(-Infinity);
  const x = (l) => (GUTTER + ((l + 0.5) / (L + 1)) * inner).toFixed(1);
  const y = (value) => (bottom - ((within(value, [low, high], value > 0 ? high : low) - low) / (high - low)) * (bottom - 8)).toFixed(1);
  const step = [1, 2, 3, 6, 12, 24, 50, 100].find((s) => (high - low) / s <= 6.5) ?? 200;
  const path = (values, kind) => `<path class="${kind}" d="${values.map((v, l) => `${l ? "L" : "M"}${x(l)} ${y(v)}`).join("")}"/>`;
  const apart = Math.ceil(L / 30), dot = (v, l) => (l % apart ? "" : `M${x(l)} ${y(v)}h0`);
  const dots = (values, kind) => `<path class="${kind}" d="${values.map(dot).join("")}"/>`;
  let out = `<rect class="band" x="${GUTTER}" width="${inner}" y="${y(log10(FACTOR))}" height="${y(-log10(FACTOR)) - y(log10(FACTOR))}"/>`;
  for (let k = Math.ceil(low / step) * step; k <= high; k += step) {
    out += `<path class="grid" d="M${GUTTER} ${y(k)}H${width}"/>`;
    if (!(zero && y(k) - y(low) > -12)) out += `<text x="${GUTTER - 5}" y="${+y(k) + 4}" class="end">${k ? power(k) : 1}</text>`;
  }
  if (zero) out += `<text x="${GUTTER - 5}" y="${+y(low) + 4}" class="end">0</text>`;
  const every = [1, 2, 5, 10, 20].find((s) => L / s <= 8) ?? 20;
  for (let l = 0; l <= L; l += every) out += `<text x="${x(l)}" y="${height - 5}" class="middle">${l}</text>`;
  out += `<text x="${GUTTER - 5}" y="${height - 5}" class="end">layer</text>`;
  const [measured, ...rest] = profiles, thin = line ? rest.slice(0, -1) : rest;
  for (const pair of thin) out += pair.map((values) => path(values, "ghost")).join("");
  out += path(measured[0], "line") + path(measured[1], "line");
  out += dots(measured[0], "dot") + dots(measured[1], "dot") + dots(measured[1], "hole");
  if (line) out += rest.at(-1).map((values) => path(values, "theory")).join("");
  return out;
}

const CRITICAL = {};

/** Points (sigma_w, sigma_b) of the critical line, computed once for each activation. */
const criticalLine = (activation) =>
  (CRITICAL[activation] ??= Array.from({ length: 21 }, (_, k) => [criticalSigmaW(activation, k / 10), k / 10]));

// ------------------------------------------------------------------------------------------------------ the element

const STYLE = `
:host { display: block; }
slot { display: none; }
.box { container-type: inline-size; }
.lab {
  --ink: #1f2430; --soft: #565d6b; --line: #d5d8de; --edge: #b4bac5; --paper: #fdfdfb; --field: #fff; --accent: #0a5ea8; --band: #e9eef3;
  box-sizing: border-box; min-height: 26.5rem; display: flex; flex-direction: column; gap: 0.5rem;
  padding: 0.9rem; border: 1px solid var(--line); border-radius: 10px; background: var(--paper); color: var(--ink);
  font-size: 0.875rem; line-height: 1.35; text-align: left;
}
.lab.dark { --ink: #dfdcd4; --soft: #aaa79e; --line: #3a3833; --edge: #67635b; --paper: #171613; --field: #24221e; --accent: #7cc0ff; --band: #24221e; color-scheme: dark; }
.lab * { box-sizing: border-box; }
[hidden] { display: none !important; }
p { margin: 0; }
.about { font-size: 0.9375rem; }
.presets { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 0.4rem; }
button, select {
  font: inherit; color: inherit; min-height: 2.1rem; min-width: 0; padding: 0.2rem 0.5rem; background: var(--field);
  border: 1px solid var(--edge); border-radius: 6px; cursor: pointer;
}
.presets button { display: flex; flex-direction: column; align-items: center; justify-content: center; min-height: 3.2rem; line-height: 1.25; }
.presets b { font-weight: 600; max-width: 100%; overflow-wrap: anywhere; }
.presets small { font-size: 0.75rem; color: var(--soft); }
button:hover, button:hover small { border-color: var(--accent); color: var(--accent); }
button[aria-pressed="true"], button[aria-pressed="true"] small { background: var(--accent); border-color: var(--accent); color: var(--paper); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.stage { display: grid; grid-template-columns: minmax(0, 1fr) 15.5rem; gap: 0.5rem 1.2rem; padding-block: 0.3rem; background: var(--paper); border-bottom: 1px solid transparent; }
.title { display: flex; justify-content: space-between; align-items: baseline; gap: 0.6rem; }
.title b { font-weight: 600; white-space: nowrap; }
.title small { color: var(--soft); font-size: 0.75rem; white-space: nowrap; }
.more { margin-right: 0.6rem; }
.scale { display: inline-block; width: 3.2rem; height: 0.6rem; margin: 0 0.25rem; vertical-align: -0.05rem; border-radius: 2px; }
.frame { display: grid; grid-template-columns: ${GUTTER}px minmax(0, 1fr); font-size: 0.6875rem; line-height: 1rem; color: var(--soft); }
.units { display: flex; flex-direction: column; justify-content: space-between; text-align: right; padding-right: 5px; }
.axis { position: relative; grid-column: 2; height: 1rem; white-space: nowrap; text-align: center; }
.axis span { position: absolute; min-width: var(--cell); }
.axis .input { right: calc(100% - var(--cell)); padding-right: 2px; } .axis .one { left: var(--cell); padding-left: 4px; } .axis .last { right: 0; }
.axis .hint { left: 50%; transform: translateX(-50%); } .hint::before { content: "point at a layer"; }
@media (hover: none) { .hint::before { content: "tap a layer"; } }
.cells { position: relative; height: 12rem; }
.back .cells { height: 6rem; }
canvas { display: block; image-rendering: pixelated; }
.map { width: 100%; height: 100%; outline: 1px solid var(--line); }
.layers { position: absolute; inset: 0; cursor: crosshair; }
.first, .mark { position: absolute; top: 0; bottom: 0; pointer-events: none; }
.first { border-right: 1px solid var(--edge); left: 0; width: var(--cell); }
.mark { display: none; width: var(--cell); box-shadow: 0 0 0 1.5px var(--paper), 0 0 0 3.5px var(--ink); }
svg { display: block; overflow: visible; }
text { font-size: 11px; fill: var(--soft); }
.end { text-anchor: end; } .middle { text-anchor: middle; }
.card { --kind: #00704f; display: grid; border-left: 0.3rem solid var(--kind); border-radius: 6px; background: var(--band); }
.card > * { grid-area: 1 / 1; min-width: 0; padding: 0.6rem 0.8rem; }
.word { font-size: 1.2rem; font-weight: 700; color: var(--kind); }
.why { overflow-wrap: anywhere; }
.room, .look, .looking .verdict { visibility: hidden; }
.looking .look { visibility: visible; }
.look { display: flex; flex-direction: column; min-height: 0; }
.look .title { flex-wrap: wrap; gap: 0 0.6rem; }
.look svg { flex: 1 1 0; width: 100%; height: 0; margin-top: 0.3rem; border-bottom: 1px solid var(--soft); overflow: hidden; }
.bars { fill: var(--scheme); }
.ends { display: flex; justify-content: space-between; font-size: 0.75rem; color: var(--soft); }
.vanished { --kind: #1d5fa8; } .exploded { --kind: #b2182b; } .saturated { --kind: #8a5a00; } .symmetric { --kind: #99406f; } .dead { --kind: #4c5360; }
.dark .card { --kind: #3ecf9f; } .dark .vanished { --kind: #7cc0ff; } .dark .exploded { --kind: #ff9d7c; }
.dark .saturated { --kind: #f0b93c; } .dark .symmetric { --kind: #e48fbb; } .dark .dead { --kind: #c3c9d3; }
summary { display: grid; grid-template-columns: auto auto minmax(0, 1fr); align-items: center; gap: 0 0.6rem; min-height: 2.4rem; color: var(--accent); cursor: pointer; list-style: none; }
summary::-webkit-details-marker { display: none; }
summary::before { content: ""; width: 0.45em; height: 0.45em; margin: 0 0.15em; border: solid; border-width: 0 2px 2px 0; transform: rotate(-45deg); }
[open] > summary::before { transform: rotate(45deg); }
summary b { font-weight: 600; }
summary:hover b { text-decoration: underline; }
summary small { color: var(--soft); font-size: 0.75rem; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.open .stage { position: sticky; top: var(--init-lab-top, 0px); z-index: 1; border-color: var(--line); }
.inside { display: flex; flex-direction: column; gap: 0.7rem; padding-top: 0.2rem; }
.controls { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 0.5rem 1rem; }
.control { display: grid; grid-template-columns: 1fr auto; align-content: end; min-width: 0; }
.control > :last-child { grid-column: 1 / -1; width: 100%; }
.control > label, .control > span { font-size: 0.8125rem; white-space: nowrap; }
.control > span { color: var(--soft); font-variant-numeric: tabular-nums; overflow: hidden; text-overflow: ellipsis; }
.double { grid-column: span 2; }
.draws { display: flex; gap: 0.3rem; }
.draws button { flex: 1 1 auto; padding: 0.1rem; font-size: 0.8125rem; line-height: 1.15; }
.inside :is(button, select, input, .point, .layers) { scroll-margin-top: calc(var(--init-lab-top, 0px) + 17rem); } /* not under the stage */
sub { font-size: 0.75em; line-height: 0; }
input[type="range"] { margin: 0; height: 1.6rem; accent-color: var(--accent); cursor: pointer; }
.body { display: grid; grid-template-columns: minmax(0, 1fr) 15.5rem; gap: 0.7rem 1.2rem; }
.sizes, .back, .phase { min-width: 0; } .sizes small { white-space: normal; text-align: right; }
.chart { position: relative; height: 11rem; }
.curves { position: absolute; inset: 0; width: 100%; height: 100%; }
.grid { stroke: var(--line); stroke-width: 0.7; }
.band { fill: var(--band); }
.line, .ghost, .theory, .dot, .hole { fill: none; stroke-linejoin: round; stroke-linecap: round; }
.line { stroke: var(--scheme); stroke-width: 2; } .ghost { stroke: var(--scheme); stroke-width: 1; opacity: 0.4; }
.dot { stroke: var(--scheme); stroke-width: 6; } .hole { stroke: var(--paper); stroke-width: 3; }
.theory { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 5 4; stroke-linecap: butt; }
.key { display: flex; flex-wrap: wrap; gap: 0 0.7rem; padding-left: ${GUTTER}px; font-size: 0.75rem; color: var(--soft); }
.key svg { display: inline; width: 24px; height: 8px; margin-right: 0.25rem; }
.phase { grid-area: 1 / 2 / 3; display: flex; flex-direction: column; }
.plane { position: relative; flex: 1; min-height: 13rem; margin: 0.2rem 2px 2.2rem 30px; cursor: crosshair; }
.plane canvas, .plane svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.plane canvas { image-rendering: auto; border: 1px solid var(--line); }
.plane svg { pointer-events: none; }
.critical { fill: none; stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 5 4; }
.region { font-size: 12px; fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; stroke-opacity: 0.75; }
.point { position: absolute; width: 30px; height: 30px; margin: -15px; border-radius: 50%; cursor: grab; touch-action: none; }
.point::after { content: ""; position: absolute; inset: 8px; border-radius: 50%; background: var(--scheme); border: 2px solid var(--paper); box-shadow: 0 0 0 1.5px var(--ink); }
.point.hollow::after { background: var(--paper); border-color: var(--scheme); }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@container (max-width: 599px) {
  .lab { min-height: 30.5rem; padding: 0.7rem; }
  .about { font-size: 0.875rem; }
  .stage { grid-template-columns: minmax(0, 1fr); }
  .cells { height: 8rem; } .back .cells { height: 5rem; }
  .presets button { min-height: 4.4rem; padding: 0.2rem; } .presets b { font-size: 0.8125rem; }
  .inside :is(button, select, input, .point, .layers) { scroll-margin-top: calc(var(--init-lab-top, 0px) + 20rem); }
  .card > * { padding: 0.4rem 0.7rem; } .card p { line-height: 1.3; } .word { font-size: 1.1rem; }
  .controls { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0.3rem 1rem; }
  summary { grid-template-columns: auto minmax(0, 1fr); } summary small { grid-column: 2; }
  .body { display: flex; flex-direction: column; } .chart { height: 9rem; } .plane { flex: none; height: 13rem; }
}
@container (max-width: 420px) { .lab { min-height: 31.5rem; } }
@container (max-width: 319px) { .lab { min-height: 35.5rem; } .presets small { font-size: 0.6875rem; } .title { gap: 0.3rem; font-size: 0.8125rem; } .title small { font-size: 0.6875rem; } .more { margin-right: 0.2rem; } .scale { width: 1.2rem; } }
@media (max-height: 30rem) { .open .stage { position: static; } }
@media (forced-colors: active) { button[aria-pressed="true"] { outline: 2px solid; } }
@media print {
  .pictured { display: none; } .pictured + slot { display: block; }
  .presets, summary, .controls { display: none; } .open .stage { position: static; border: 0; } .lab { min-height: 0; break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;

const options = (entries) => Object.entries(entries).map(([name, { label }]) => `<option value="${name}">${label}</option>`).join("");
const slider = (id, label, step) => `<div class="control"><label for="${id}">${label}</label><span aria-hidden="true"></span>
  <input type="range" id="${id}" step="${step}"></div>`;
const swatch = (inner, words) => `<span><svg viewBox="0 0 26 8" aria-hidden="true">${inner}</svg>${words}</span>`;
const SCALE = `<span class="key-of-colors">−${DEEPEST}<span class="scale"></span>${DEEPEST}</span>`;
const map = (kind, name, title) => `<p class="title"><b>${title}</b><small><span class="more"></span>${SCALE}</small></p>
  <div class="frame"><div class="units" aria-hidden="true"><span>unit 1</span><span class="rows"></span></div>
    <div class="cells"><canvas class="map" role="img" aria-label="${name}"></canvas><div class="first"></div><div class="mark"></div>
      <div class="layers" data-kind="${kind}" role="slider" tabindex="0" aria-label="${name}: look into a layer" aria-valuemin="0"></div></div>
    <div class="axis" aria-hidden="true"><span class="input">one input</span><span class="one">layer 1</span><span class="hint"></span><span class="last"></span></div></div>`;

/** The longest sentences of each verdict. They stand unseen where a verdict stands, so that none changes the height. */
const longest = () => {
  const level = (...first) => Array.from({ length: 61 }, (_, l) => first[l] ?? (l < 60 ? 0.012 : 1));
  const one = (found) => verdict({
    settings: { depth: 60, width: 256, activation: "tanh" }, batch: BATCH, flat: 0, deadLayer: 0, copies: false,
    forward: level(1), backward: level(), ...found,
  });
  const [far, gone] = [level(1, Infinity), level(1, 1.2e-123)];
  return [one({ copies: true }), one({ deadLayer: 59 }), one({ flat: 1, backward: far }), one({ backward: far }), one({ backward: gone }),
    one({ forward: Array.from({ length: 61 }, (_, l) => (l ? 0.012 : 1)) })];
};
const judged = (kind, why) => `<p class="word">${capital(kind)}</p><p class="why">${why}</p>`;

const body = () => `<div class="box"><div class="lab" role="group" aria-label="Live figure: signal and gradient in a random network">
  <p class="about">A signal runs from layer to layer, from left to right; each cell is what one unit passes on: the fainter, the closer to zero.</p>
  <div class="presets" role="group" aria-label="Presets"></div>
  <div class="stage">
    <div class="ahead">${map("h", "Activations", "Activations h →")}</div>
    <div class="card"><div class="verdict"><p class="word"></p><p class="why"></p></div>
      <div class="look" aria-hidden="true"><p class="title"><b></b><small></small></p>
        <svg viewBox="0 0 ${BINS} 1" preserveAspectRatio="none"><path class="bars"/></svg>
        <p class="ends"><span></span><span>0</span><span></span></p></div>
      ${longest().map((one) => `<div class="room" aria-hidden="true">${judged(...one)}</div>`).join("")}</div>
  </div>
  <details><summary><b>Change the network</b><small></small></summary><div class="inside">
    <div class="presets rest" role="group" aria-label="More presets"></div>
    <div class="controls">
      <div class="control double"><label for="scheme">Scheme</label><span></span><select id="scheme">${options(SCHEMES)}</select></div>
      <div class="control"><label for="activation">Activation φ</label><span></span><select id="activation">${options(ACTIVATIONS)}</select></div>
      <div class="control"><span>Draw <span class="seed"></span></span><span></span>
        <div class="draws"><button type="button" class="again">New draw</button><button type="button" class="reset">Reset all</button></div></div>
      ${slider("depth", "Depth L", 1)}${slider("width", "Width n", 1)}
      ${slider("sigmaW", "Weights: free σ<sub>w</sub>", 0.01)}${slider("sigmaB", "Biases σ<sub>b</sub>", 0.01)}
    </div>
    <div class="body">
      <div class="sizes"><p class="title"><b>Size by layer</b><small>rms; shaded: within ${FACTOR}×</small></p>
        <div class="chart"><svg class="curves" role="img" aria-label="Size by layer"></svg></div>
        <p class="key">${swatch('<path class="line" d="M1 4H25"/><path class="dot" d="M13 4h0"/>', "signal h")}
          ${swatch('<path class="line" d="M1 4H25"/><path class="dot" d="M13 4h0"/><path class="hole" d="M13 4h0"/>', "gradient δ")}
          ${swatch('<path class="theory" d="M1 4H25"/>', "theory")}</p></div>
      <div class="back">${map("delta", "Gradients", "Gradients δ ←")}</div>
      <div class="phase"><p class="title"><b>Phase diagram</b><small>drag: free σ<sub>w</sub>, σ<sub>b</sub></small></p>
        <div class="plane"><canvas width="48" height="40" role="img" aria-label="Phase diagram"></canvas><svg aria-hidden="true"></svg>
          <div class="point" role="slider" tabindex="0" aria-label="Point in the phase diagram" aria-valuemin="0"></div></div></div>
    </div></div></details>
  <div class="sr" aria-live="polite" aria-atomic="true"></div>
</div></div><slot></slot>`;

/** What stands on a preset's button: its label, and all that it sets and the label does not name. */
function face({ label, note, activation, scheme, depth, width, seed, sigmaW, sigmaB }) {
  const own = ACTIVATIONS[activation]?.label, parts = [note, !label.includes(own) && own];
  parts.push(depth && `${depth} layers of ${width} units`, seed && `draw ${seed}`, scheme === "free" && `σ<sub>w</sub> ${sigmaW}`);
  parts.push(sigmaB ? `σ<sub>b</sub> ${sigmaB}` : sigmaB === 0 && "no biases");
  return `<b>${label}</b><small>${parts.filter(Boolean).join(", ")}</small>`;
}

const SLICE = 24, COSTLY = 6e6, REST = 160, SETTLED = 400; // milliseconds, but COSTLY: products of a coarse batch
const ATTRIBUTES = { scheme: "scheme", activation: "activation", depth: "depth", width: "width", "sigma-w": "sigmaW", "sigma-b": "sigmaB", seed: "seed" };

/** Whether the page is dark: the theme of the site, else JupyterLab's, else the reader's system. Paper is light. */
function isDark() {
  if (matchMedia("print").matches) return false;
  const site = document.documentElement.dataset.theme, lab = document.body?.dataset.jpThemeLight;
  if (site === "dark" || site === "light") return site === "dark";
  return lab ? lab === "false" : matchMedia("(prefers-color-scheme: dark)").matches;
}

const lowered = (words) => words.replace(/σ_(.)/g, "σ<sub>$1</sub>");

function define() {
  class InitLab extends HTMLElement {
    static observedAttributes = [...Object.keys(ATTRIBUTES), "presets"];

    // ---- life

    connectedCallback() {
      this.root ? this.redraw() : this.build();
      this.watchers = [new ResizeObserver(() => this.redraw()), new MutationObserver(() => this.retheme())];
      this.watchers.push(new IntersectionObserver((seen) => this.wake(seen), { rootMargin: "10%" }));
      this.watchers[2].observe(this);
      this.watchers[0].observe(this.$(".lab"));
      for (const node of [document.documentElement, document.body]) this.watchers[1].observe(node, { attributeFilter: ["data-theme", "data-jp-theme-light"] });
      this.media = ["print", "(prefers-color-scheme: dark)"].map((query) => matchMedia(query));
      this.retheme = this.retheme.bind(this);
      for (const query of this.media) query.addEventListener("change", this.retheme);
      this.retheme();
    }

    /** Nothing is computed before the figure comes near to what the reader sees. */
    wake(seen) {
      if (this.near || !seen.some((one) => one.isIntersecting)) return;
      this.near = true;
      this.request();
    }

    disconnectedCallback() {
      this.watchers.forEach((one) => one.disconnect());
      this.media.forEach((query) => query.removeEventListener("change", this.retheme));
      cancelAnimationFrame(this.frame);
      [this.restTimer, this.settleTimer].forEach(clearTimeout);
      this.frame = this.job = null;
    }

    attributeChangedCallback(name, _, value) {
      if (!this.root) return;
      if (name === "presets") this.fillPresets();
      else this.set({ [ATTRIBUTES[name]]: value });
    }

    /** The settings; what is set is completed and kept within its ranges. */
    get settings() {
      return { ...(this.now ?? this.given()) };
    }

    given() {
      const found = {};
      for (const [name, key] of Object.entries(ATTRIBUTES)) if (this.hasAttribute(name)) found[key] = this.getAttribute(name);
      if ("sigmaW" in found && !("scheme" in found)) found.scheme = "free";
      return sane(found);
    }

    $(selector) {
      return this.root.querySelector(selector);
    }

    build() {
      this.root = this.attachShadow({ mode: "open" });
      this.root.innerHTML = `<style>${STYLE}</style>${body()}`;
      this.now = this.start = this.given();
      this.ghosts = [];
      this.colors = {};
      this.fold = this.$("details");
      this.$(".box").classList.toggle("pictured", !!this.querySelector("figure")); // what paper shows
      this.fold.addEventListener("toggle", () => {
        this.$(".lab").classList.toggle("open", this.fold.open);
        this.redraw();
      });
      this.fillPresets();
      for (const id of ["scheme", "activation"]) this.$(`#${id}`).addEventListener("change", (e) => this.set({ [id]: e.target.value }, true));
      for (const id of ["depth", "width", "sigmaW", "sigmaB"]) {
        const input = this.$(`#${id}`);
        const change = (live) => this.set({ [id]: +input.value, ...(id === "sigmaW" && { scheme: "free" }) }, true, live);
        input.addEventListener("input", () => change(true));
        input.addEventListener("change", () => change(false));
      }
      this.$(".again").addEventListener("click", () => this.set({ seed: (this.now.seed + 1) % 2 ** 32 }, true));
      this.$(".reset").addEventListener("click", () => this.set(this.start, true));
      for (const node of this.root.querySelectorAll(".layers")) this.listenToLayers(node);
      this.listenToPlane();
      this.request();
    }

    fillPresets() {
      const names = (this.getAttribute("presets")?.trim().split(/[\s,]+/) ?? FIRST).filter((name) => Object.hasOwn(PRESETS, name));
      const [first, rest] = this.root.querySelectorAll(".presets");
      for (const [box, own] of [[first, names.slice(0, IN_SIGHT)], [rest, names.slice(IN_SIGHT)]]) {
        box.innerHTML = own.map((name) => `<button type="button" data-name="${name}">${face(PRESETS[name])}</button>`).join("");
        box.hidden = !own.length;
        for (const button of box.children) button.addEventListener("click", () => this.set(this.preset(button.dataset.name), true));
      }
      this.showSettings();
    }

    /** What a preset sets; all else stays as the reader has it. */
    preset(name) {
      const { label, note, ...own } = PRESETS[name];
      return own;
    }

    // ---- a look into a layer

    listenToLayers(node) {
      const { kind } = node.dataset, last = () => this.now.depth;
      const at = (event) => {
        const box = node.getBoundingClientRect();
        return within(Math.floor(((event.clientX - box.left) / box.width) * (last() + 1)), [0, last()], 0);
      };
      const pin = (layer) => this.look((this.pinned = layer === null ? null : { kind, layer }));
      node.addEventListener("pointermove", (event) => event.pointerType !== "touch" && this.look({ kind, layer: at(event) }));
      node.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && this.look(this.pinned));
      node.addEventListener("click", (event) => {
        const layer = at(event), again = event.pointerType === "touch" && this.pinned?.kind === kind && this.pinned.layer === layer;
        pin(again ? null : layer);
      });
      node.addEventListener("focus", () => node.matches(":focus-visible") && pin(min(+node.ariaValueNow, last())));
      node.addEventListener("blur", () => pin(null));
      node.addEventListener("keydown", (event) => {
        const now = min(this.pinned?.layer ?? +node.ariaValueNow, last()), { key } = event;
        const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -5, PageUp: 5 };
        const to = { Home: 0, End: last(), Escape: null }[key] ?? (key in steps ? now + steps[key] : undefined);
        if (to === undefined && key !== "Escape") return;
        event.preventDefault();
        pin(key === "Escape" ? null : within(to, [0, last()], 0));
      });
    }

    /** Show the histogram of a layer where the verdict stands, or with null the verdict. */
    look(at) {
      this.looked = at;
      this.$(".lab").classList.toggle("looking", !!at);
      for (const mark of this.root.querySelectorAll(".mark")) mark.style.display = "none";
      if (!at || !this.result) return;
      const { settings } = this.result, layer = (at.layer = min(at.layer, settings.depth));
      const node = this.$(`[data-kind="${at.kind}"]`), mark = node.previousElementSibling;
      mark.style.cssText = `display: block; left: calc(${layer} * var(--cell))`;
      const { density, limit, std, zeros } = histogram(this.result, at.kind, layer), top = max(...density) || 1;
      const [title, said] = this.$(".look .title").children, ends = this.$(".look .ends").children;
      title.textContent = `${at.kind === "h" ? "" : "Gradient, "}${layer ? `layer ${layer}` : "input"}`.replace(/^./, (first) => first.toUpperCase());
      said.textContent = `std ${shown(std)}${zeros >= 0.005 ? `, ${round(100 * zeros)} % are 0` : ""}`;
      [ends[0].textContent, ends[2].textContent] = [`−${shown(limit)}`, shown(limit)];
      this.$(".bars").setAttribute("d", Array.from(density, (y, k) => (y ? `M${k} 1V${(1 - y / top / 1.35).toFixed(4)}h1V1z` : "")).join(""));
      this.tellLayer(node, layer);
    }

    /** What one hears of a layer, with its histogram in words. */
    tellLayer(node, layer) {
      const { std, zeros, most } = histogram(this.result, node.dataset.kind, layer);
      node.ariaValueNow = layer;
      const where = layer === 0 ? "input" : layer === this.result.settings.depth ? `layer ${layer}, the output` : `layer ${layer}`;
      node.ariaValueText = `${where}: std ${shown(std)}, ${round(100 * zeros)} % are exactly 0, 99.9 % are within ±${shown(most)}`;
    }

    // ---- the point in the plane

    listenToPlane() {
      const plane = this.$(".plane"), point = this.$(".point");
      const move = (event, live) => {
        const box = plane.getBoundingClientRect(), [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
        this.free(x * topSigmaW(this.now.activation), (1 - y) * LIMITS.sigmaB[1], live);
      };
      plane.addEventListener("pointerdown", (event) => {
        if (event.button || (event.pointerType === "touch" && event.target !== point)) return;
        plane.setPointerCapture(event.pointerId);
        point.focus({ preventScroll: true });
        event.preventDefault();
        move(event, true);
      });
      plane.addEventListener("pointermove", (event) => plane.hasPointerCapture(event.pointerId) && move(event, true));
      plane.addEventListener("lostpointercapture", () => this.set({}, true));
      plane.addEventListener("click", (event) => event.pointerType === "touch" && move(event, false));
      point.addEventListener("keydown", (event) => {
        const step = (event.shiftKey ? 0.01 : 0.05) * (this.now.activation === "sigmoid" ? 5 : 1);
        const { sigmaW, sigmaB } = this.now, top = topSigmaW(this.now.activation);
        const to = {
          ArrowLeft: [sigmaW - step, sigmaB], ArrowRight: [sigmaW + step, sigmaB],
          ArrowDown: [sigmaW, sigmaB - step], ArrowUp: [sigmaW, sigmaB + step],
          PageDown: [sigmaW - 10 * step, sigmaB], PageUp: [sigmaW + 10 * step, sigmaB], Home: [0, sigmaB], End: [top, sigmaB],
        }[event.key];
        if (!to) return;
        event.preventDefault();
        this.free(...to, false);
      });
    }

    free(sigmaW, sigmaB, live) {
      this.set({ scheme: "free", sigmaW: round(100 * sigmaW) / 100, sigmaB: round(100 * sigmaB) / 100 }, true, live);
    }

    // ---- from a change to a picture

    /** Change settings. `byReader`: tell screen readers and listeners when it settles; `live`: more changes will follow. */
    set(change, byReader = false, live = false) {
      const before = this.now, after = sane({ ...before, ...change });
      const same = Object.keys(START).every((key) => key === "seed" || before[key] === after[key]);
      if (!same) this.ghosts = [];
      else if (before.seed !== after.seed && this.result) this.ghosts = [...this.ghosts, this.result].slice(-6);
      this.now = after;
      this.live = this.dragging = live;
      this.byReader ||= byReader;
      this.showSettings();
      this.request();
    }

    request() {
      this.version = (this.version ?? 0) + 1;
      if (!this.near) return;
      clearTimeout(this.restTimer);
      clearTimeout(this.settleTimer);
      this.frame ??= requestAnimationFrame(() => this.step());
    }

    drawsFor(s) {
      if (!this.draws?.fits(s.seed, s.width, lawOf(s))) this.draws = new Draws(s.seed, s.width, lawOf(s));
      return this.draws;
    }

    begin(batch) {
      this.job = { version: this.version, batch, run: passes(this.now, this.drawsFor(this.now), batch) };
    }

    /** One frame's work. What was begun is finished, so that a picture appears however fast the settings change. */
    step() {
      this.frame = null;
      const costly = 8 * this.now.depth * this.now.width ** 2 > COSTLY;
      if (!this.job) this.begin(this.live && costly ? COARSE : BATCH);
      const until = performance.now() + SLICE;
      let step;
      do step = this.job.run.next();
      while (!step.done && performance.now() < until);
      if (step.done) this.finish(step.value);
      if (this.job || this.drawn < this.version) this.frame ??= requestAnimationFrame(() => this.step());
    }

    finish(result) {
      const { version, batch } = this.job;
      Object.assign(this, { job: null, result, drawn: version });
      this.line = theory(result.settings);
      this.redraw();
      if (version !== this.version) return;
      if (batch < BATCH) this.restTimer = setTimeout(() => ((this.live = false), this.request()), REST);
      else this.settleTimer = setTimeout(() => this.settle(), SETTLED);
    }

    /** Compute and draw at once what is asked for: for benchmarks, tests and print. */
    flush() {
      cancelAnimationFrame(this.frame);
      this.frame = null;
      this.live = false;
      this.begin(BATCH);
      let step;
      do step = this.job.run.next();
      while (!step.done);
      this.finish(step.value);
    }

    settle() {
      this.describe();
      if (!this.byReader || this.dragging) return;
      this.byReader = false;
      const [kind, why] = this.judged;
      this.$(".sr").textContent = `${capital(kind)}. ${why}`;
      this.dispatchEvent(new CustomEvent("init-lab-change", { bubbles: true, detail: { ...this.result.settings, verdict: kind, reason: why } }));
    }

    retheme() {
      if (matchMedia("print").matches && !this.result && !this.$(".pictured")) this.flush(); // paper does not scroll
      const theme = isDark() ? "dark" : "light";
      if (theme === this.theme) return;
      this.theme = theme;
      this.colors[theme] ??= ramp(theme);
      this.$(".lab").classList.toggle("dark", theme === "dark");
      for (const one of this.root.querySelectorAll(".scale")) one.style.background = `linear-gradient(90deg, ${RAMPS[theme]})`;
      this.shownPlane = null;
      this.showSettings();
      this.redraw();
    }

    // ---- pictures and words

    showSettings() {
      const s = this.now, top = topSigmaW(s.activation), { light, dark } = SCHEMES[s.scheme];
      this.$(".lab").style.setProperty("--scheme", this.theme === "dark" ? dark : light);
      for (const id of ["scheme", "activation"]) this.$(`#${id}`).value = s[id];
      const ranges = { ...LIMITS, sigmaW: [0, top] };
      const words = { depth: `${s.depth} layer${s.depth > 1 ? "s" : ""}`, width: `${s.width} units` };
      for (const id of ["depth", "width", "sigmaW", "sigmaB"]) {
        const input = this.$(`#${id}`), text = words[id] ?? s[id].toFixed(2);
        [input.min, input.max] = ranges[id];
        if (+input.value !== s[id]) input.value = s[id];
        input.setAttribute("aria-valuetext", text);
        input.previousElementSibling.textContent = words[id] ? s[id] : text;
      }
      for (const button of this.root.querySelectorAll(".presets button")) {
        button.setAttribute("aria-pressed", Object.entries(this.preset(button.dataset.name)).every(([key, value]) => s[key] === value));
      }
      this.$(".seed").textContent = s.seed;
      const rows = min(s.width, ROWS);
      for (const frame of this.root.querySelectorAll(".frame")) frame.style.setProperty("--cell", `${100 / (s.depth + 1)}%`);
      for (const one of this.root.querySelectorAll(".rows")) one.textContent = `unit ${rows}`;
      for (const one of this.root.querySelectorAll(".last")) one.textContent = s.depth > 1 ? `layer ${s.depth}` : "";
      for (const one of this.root.querySelectorAll(".hint")) one.hidden = s.depth < 4; // there is no room between the labels
      for (const one of this.root.querySelectorAll(".more")) one.textContent = `${rows < s.width ? `${rows} of ` : ""}${s.width} units`;
      for (const node of this.root.querySelectorAll(".layers")) {
        node.setAttribute("aria-valuemax", s.depth);
        node.ariaValueNow = min(node.ariaValueNow ?? 1, s.depth);
      }
      const [scheme, own] = [SCHEMES[s.scheme].sigmaW ? SCHEMES[s.scheme].label : `σ_w ${s.sigmaW.toFixed(2)}`, ACTIVATIONS[s.activation].label];
      const biases = s.sigmaB ? `, σ_b ${s.sigmaB.toFixed(2)}` : "";
      this.$("summary small").innerHTML = lowered(`${scheme}, ${own}, ${words.depth} of ${words.width}${biases}, draw ${s.seed}`);
      const point = this.$(".point"), at = [(100 * s.sigmaW) / top, 100 - (100 * s.sigmaB) / LIMITS.sigmaB[1]];
      [point.style.left, point.style.top] = at.map((share) => `${share}%`);
      point.classList.toggle("hollow", SCHEMES[s.scheme].value !== undefined);
      point.setAttribute("aria-valuemax", top);
      point.setAttribute("aria-valuenow", s.sigmaW.toFixed(2));
      point.setAttribute("aria-valuetext", `σ_w ${s.sigmaW.toFixed(2)}, σ_b ${s.sigmaB.toFixed(2)}`);
    }

    redraw() {
      if (!this.result || !this.theme) return;
      const { result, line } = this, { depth: L, width: n } = result.settings, rows = min(n, ROWS);
      const [signals, gradients] = this.root.querySelectorAll(".map"), colors = this.colors[this.theme];
      paint(signals, L + 1, rows, colors, (l, unit) => result.h[l][unit] / DEEPEST);
      this.judged = verdict(result);
      this.$(".card").className = `card ${this.judged[0]}`;
      this.$(".word").textContent = capital(this.judged[0]);
      this.$(".why").textContent = this.judged[1];
      if (this.looked) this.look(this.looked);
      if (!this.fold.open) return;
      paint(gradients, L + 1, rows, colors, (l, unit) => result.delta[l][unit] / DEEPEST);
      const chart = this.$(".curves"), { width, height } = this.sizeOf(chart);
      chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
      chart.innerHTML = curves(result, line, this.ghosts, width, height);
      this.drawPlane();
    }

    sizeOf(node) {
      const { width, height } = node.getBoundingClientRect();
      return { width: max(round(width), 100), height: max(round(height), 60) };
    }

    drawPlane() {
      const { activation } = this.now, svg = this.$(".plane svg"), { width, height } = this.sizeOf(svg);
      const key = [activation, this.theme, width, height].join();
      if (this.shownPlane === key) return;
      this.shownPlane = key;
      const top = topSigmaW(activation), high = LIMITS.sigmaB[1], canvas = this.$(".plane canvas");
      paint(canvas, 48, 40, this.colors[this.theme], (x, y) => {
        const size = log10(max(1e-9, chi(activation, ((x + 0.5) / 48) * top, (1 - (y + 0.5) / 40) * high)));
        return (this.theme === "dark" ? 0.5 : 0.65) * tanh(1.6 * size);
      });
      const line = criticalLine(activation), middle = line[12][0] / top, points = line.map(([w, b]) => `${((w / top) * width).toFixed(1)} ${((1 - b / high) * height).toFixed(1)}`);
      let out = `<path class="critical" d="M${points.join("L")}"/>`;
      const grows = !ACTIVATIONS[activation].bounded && !["elu", "selu"].includes(activation);
      out += `<text class="region middle" x="${(middle / 2) * width}" y="${0.3 * height}">order</text>`;
      out += `<text class="region middle" x="${((1 + middle) / 2) * width}" y="${0.3 * height}">${grows ? "growth" : "chaos"}</text>`;
      for (let k = 0; k <= 4; k++) out += `<text class="middle" x="${(k / 4) * width}" y="${height + 14}">${(k / 4) * top}</text>`;
      for (let k = 0; k <= 2; k++) out += `<text class="end" x="-6" y="${(1 - k / 2) * height + 4}">${(k / 2) * high}</text>`;
      out += `<text class="middle" x="${width / 2}" y="${height + 29}">σ_w of the weights</text>`;
      out += `<text class="middle" transform="translate(-20 ${height / 2}) rotate(-90)">σ_b of the biases</text>`;
      svg.innerHTML = out.replace(/(σ)_(.)/g, '$1<tspan dy="3" font-size="8">$2</tspan><tspan dy="-3">&#8203;</tspan>');
    }

    /** Say in words what each picture shows, with its numbers. */
    describe() {
      for (const node of this.root.querySelectorAll(".layers")) this.tellLayer(node, min(+node.ariaValueNow, this.result.settings.depth));
      const { settings, forward, backward } = this.result, { depth: L, sigmaW, sigmaB, activation } = settings, half = round(L / 2);
      const [signals, gradients] = this.root.querySelectorAll(".map"), rows = min(settings.width, ROWS);
      const by = (values, from, at, to) => `${shown(values[from])} at layer ${from}, ${shown(values[at])} at layer ${at}, ${shown(values[to])} at layer ${to}`;
      signals.ariaLabel = `Activations of ${rows} units by layer, for one input. Their rms over ${BATCH} inputs: ${by(forward, 0, half, L)}.`;
      gradients.ariaLabel = `Gradients of ${rows} units by layer, for one input. Their rms over ${BATCH} inputs: ${by(backward, L, half, 1)}.`;
      const theory = this.line ? ` Theory: signal ${shown(this.line.forward[L])} at layer ${L}, gradient ${shown(this.line.backward[1])} at layer 1.` : "";
      this.$(".curves").ariaLabel = `Size by layer. Measured: signal ${shown(forward[L])} at layer ${L}, gradient ${shown(backward[1])} at layer 1.${theory}`;
      const critical = criticalSigmaW(activation, sigmaB), side = SCHEMES[settings.scheme].value !== undefined ? "without random weights" : sigmaW < 0.995 * critical ? "in the ordered phase" : sigmaW > 1.005 * critical ? "beyond the critical line" : "on the critical line";
      this.$(".plane canvas").ariaLabel = `Phase diagram of ${ACTIVATIONS[activation].label}: σ_w ${sigmaW.toFixed(2)} and σ_b ${sigmaB.toFixed(2)} are ${side}, which is at σ_w ${critical.toFixed(2)} for this σ_b.`;
    }
  }
  customElements.define("init-lab", InitLab);
}

const capital = (word) => word[0].toUpperCase() + word.slice(1);

if (globalThis.customElements && !customElements.get("init-lab")) define();

// ------------------------------------------------------------------------------------------- the widget, in Jupyter

const TRAITS = { scheme: "scheme", activation: "activation", depth: "depth", width: "width", sigma_w: "sigmaW", sigma_b: "sigmaB", seed: "seed" };

export default {
  render({ model, el }) {
    const lab = document.createElement("init-lab");
    lab.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes the arrow keys
    const traits = () => Object.fromEntries(Object.entries(TRAITS).map(([trait, key]) => [key, model.get(trait)]));
    for (const [name, key] of Object.entries(ATTRIBUTES)) lab.setAttribute(name, traits()[key]);
    lab.setAttribute("presets", model.get("presets").join(" "));
    const pull = () => {
      const wanted = sane(traits());
      if (Object.keys(START).some((key) => wanted[key] !== lab.settings[key])) lab.set(wanted, true);
    };
    for (const trait of Object.keys(TRAITS)) model.on(`change:${trait}`, pull);
    lab.addEventListener("init-lab-change", ({ detail }) => {
      for (const [trait, key] of Object.entries(TRAITS)) model.set(trait, detail[key]);
      model.set("verdict", detail.verdict);
      model.set("reason", detail.reason);
      model.save_changes();
    });
    el.append(lab);
    return () => Object.keys(TRAITS).forEach((trait) => model.off(`change:${trait}`, pull));
  },
};
