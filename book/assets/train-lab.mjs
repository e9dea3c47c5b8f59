// The book's figure that trains: two starts of one network race on the digits. One file is both the custom element
// <train-lab> of the pages and the widget of Jupyter. It loads nothing but its data, train-digits.mjs.
// `trainEngine` and `trainPresets` stand alone: they run on a page, from their text in a worker, and in Node.

/** Draws, products, a network and its training, the data, and a race: all that computes and nothing that is seen. */
function trainEngine() {
  "use strict";
  const { abs, exp, expm1, log, sqrt, tanh, max, min, floor } = Math;

  // ------------------------------------------------------------------------------ draws, number by number init-lab's

  /** sfc32, seeded with three words: a function that returns the next integer below 2^32. */
  function rng(a, b, c) {
    let counter = 1;
    const next = () => {
      const out = (((a + b) | 0) + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + out) | 0;
      return out >>> 0;
    };
    for (let i = 0; i < 16; i++) next(); // what is still like the seed
    return next;
  }

  const even = (next) => (next() + 0.5) / 2 ** 31 - 1; // uniform in (-1, 1)

  // The ziggurat of Marsaglia & Tsang (2000) in the form of Doornik (2005): 128 layers of one area under the density.
  const TAIL = 3.442619855899, AREA = 9.91256303526217e-3;
  const EDGE = new Float64Array(129), RATIO = new Float64Array(128);
  EDGE[0] = AREA / exp((-TAIL * TAIL) / 2);
  EDGE[1] = TAIL;
  for (let i = 2; i < 128; i++) EDGE[i] = sqrt(-2 * log(AREA / EDGE[i - 1] + exp(-(EDGE[i - 1] ** 2) / 2)));
  for (let i = 0; i < 128; i++) RATIO[i] = EDGE[i + 1] / EDGE[i];

  /** A draw of N(0, 1). */
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
      const x = u * EDGE[layer];
      const low = exp((x * x - EDGE[layer] ** 2) / 2), high = exp((x * x - EDGE[layer + 1] ** 2) / 2);
      if (high + ((next() + 0.5) / 2 ** 32) * (low - high) < 1) return x;
    }
  }

  // ------------------------------------------------------------------------------------------ activations and schemes

  const ALPHA = 1.6732632423543772, LAMBDA = 1.0507009873554805;

  /** Each puts h = phi(z) in the place of z, and phi'(z) into `slope`. What is not a number stays so. */
  const PHI = {
    linear: (z, slope, count) => slope.fill(1, 0, count),
    tanh: (z, slope, count) => {
      for (let i = 0; i < count; i++) {
        const h = tanh(z[i]);
        z[i] = h;
        slope[i] = 1 - h * h;
      }
    },
    sigmoid: (z, slope, count) => {
      for (let i = 0; i < count; i++) {
        const h = 1 / (1 + exp(-z[i]));
        z[i] = h;
        slope[i] = h * (1 - h);
      }
    },
    relu: (z, slope, count) => {
      for (let i = 0; i < count; i++) {
        if (z[i] <= 0) z[i] = slope[i] = 0;
        else slope[i] = 1;
      }
    },
    selu: (z, slope, count) => {
      for (let i = 0; i < count; i++) {
        const x = z[i], below = x > 0 ? 0 : LAMBDA * ALPHA * expm1(x);
        z[i] = x > 0 ? LAMBDA * x : below;
        slope[i] = x > 0 ? LAMBDA : below + LAMBDA * ALPHA;
      }
    },
  };

  /** Standard deviation of a weight, from its fan_in and fan_out and what the scheme says. */
  const STD = {
    zeros: () => 0,
    constant: () => 0,
    small_random: (n, m, { value }) => value ?? 0.01,
    xavier: (n, m) => sqrt(2 / (n + m)),
    he: (n) => sqrt(2 / n),
    lecun: (n) => sqrt(1 / n),
    free: (n, m, { gain }) => gain / sqrt(n),
    heuristic: (n) => sqrt(1 / (3 * n)), // uniform in ±1/√n, and PyTorch's default for nn.Linear
  };

  // ------------------------------------------------------------------- products, in blocks of two rows by four columns

  const padded = (n) => (n + 3) & ~3; // zeros fill up a row to a multiple of four: no block has a special end

  /** Z = H W' + bias, for `rows` rows: H is rows × n, W is m × n. */
  function times(H, W, bias, Z, rows, n, m) {
    for (let b = 0; b < rows; b += 2) {
      const p = b * n, q = p + n, z = b * m, y = z + m;
      for (let r = 0; r < m; r += 4) {
        const w0 = r * n, w1 = w0 + n, w2 = w1 + n, w3 = w2 + n;
        let a0 = bias[r], a1 = bias[r + 1], a2 = bias[r + 2], a3 = bias[r + 3], c0 = a0, c1 = a1, c2 = a2, c3 = a3;
        for (let k = 0; k < n; k++) {
          const x0 = W[w0 + k], x1 = W[w1 + k], x2 = W[w2 + k], x3 = W[w3 + k], g = H[p + k], h = H[q + k];
          a0 += g * x0; a1 += g * x1; a2 += g * x2; a3 += g * x3;
          c0 += h * x0; c1 += h * x1; c2 += h * x2; c3 += h * x3;
        }
        Z[z + r] = a0; Z[z + r + 1] = a1; Z[z + r + 2] = a2; Z[z + r + 3] = a3;
        Z[y + r] = c0; Z[y + r + 1] = c1; Z[y + r + 2] = c2; Z[y + r + 3] = c3;
      }
    }
  }

  /** G = (D W) ⊙ slope, for `rows` rows: D is rows × m, W is m × n. */
  function timesBack(D, W, slope, G, rows, n, m) {
    for (let b = 0; b < rows; b += 2) {
      const p = b * m, q = p + m, z = b * n, y = z + n;
      for (let c = 0; c < n; c += 4) {
        let a0 = 0, a1 = 0, a2 = 0, a3 = 0, c0 = 0, c1 = 0, c2 = 0, c3 = 0;
        for (let k = 0, w = c; k < m; k++, w += n) {
          const x0 = W[w], x1 = W[w + 1], x2 = W[w + 2], x3 = W[w + 3], g = D[p + k], h = D[q + k];
          a0 += g * x0; a1 += g * x1; a2 += g * x2; a3 += g * x3;
          c0 += h * x0; c1 += h * x1; c2 += h * x2; c3 += h * x3;
        }
        const u = z + c, v = y + c;
        G[u] = a0 * slope[u]; G[u + 1] = a1 * slope[u + 1]; G[u + 2] = a2 * slope[u + 2]; G[u + 3] = a3 * slope[u + 3];
        G[v] = c0 * slope[v]; G[v + 1] = c1 * slope[v + 1]; G[v + 2] = c2 * slope[v + 2]; G[v + 3] = c3 * slope[v + 3];
      }
    }
  }

  /** dW = D' H (m × n), and db, the sum of D over its rows. */
  function outer(D, H, dW, db, rows, n, m) {
    for (let r = 0; r < m; r += 2) {
      for (let c = 0; c < n; c += 4) {
        let a0 = 0, a1 = 0, a2 = 0, a3 = 0, c0 = 0, c1 = 0, c2 = 0, c3 = 0;
        for (let b = 0, d = r, h = c; b < rows; b++, d += m, h += n) {
          const g = D[d], f = D[d + 1], x0 = H[h], x1 = H[h + 1], x2 = H[h + 2], x3 = H[h + 3];
          a0 += g * x0; a1 += g * x1; a2 += g * x2; a3 += g * x3;
          c0 += f * x0; c1 += f * x1; c2 += f * x2; c3 += f * x3;
        }
        const u = r * n + c, v = u + n;
        dW[u] = a0; dW[u + 1] = a1; dW[u + 2] = a2; dW[u + 3] = a3;
        dW[v] = c0; dW[v + 1] = c1; dW[v + 2] = c2; dW[v + 3] = c3;
      }
    }
    for (let r = 0; r < m; r++) {
      let sum = 0;
      for (let b = 0, d = r; b < rows; b++, d += m) sum += D[d];
      db[r] = sum;
    }
  }

  // ------------------------------------------------------------------------------------------------------ one network

  const STREAMS = { weights: 1, biases: 2, order: 7 };
  const MOMENTS = { sgd: 0, momentum: 1, adam: 2 }; // how many running means an optimizer keeps

  /**
   * A network z_l = W_l h_{l-1} + b_l, h_l = phi(z_l), with a linear last layer; cross-entropy.
   *
   * spec: sizes [n_0, …, n_L]; phi; scheme, or schemes with one a layer: { name, value, gain, law }; batch, an even
   * number; optimizer, one of MOMENTS; lr; clip, the length of a gradient, else none. Biases are zero but for hiddenBias
   * (one for all), sigmaB (a spread, of hidden biases) and outBias (n_L numbers).
   * The draws depend on `seed`, `replica` and the layer alone: two schemes differ in the size of the same numbers.
   */
  class Net {
    constructor(spec, seed, replica) {
      const { sizes, batch, optimizer } = spec, L = sizes.length - 1, widths = sizes.map(padded);
      if (batch % 2) throw new RangeError(`batch must be even, got ${batch}: products take two rows at once`);
      if (!Object.hasOwn(MOMENTS, optimizer)) throw new RangeError(`no optimizer ${optimizer}`);
      Object.assign(this, { spec, sizes, batch, L, widths, updates: 0, dead: false });
      const ends = [0]; // of each layer's weights and biases among all parameters
      for (let l = 1; l <= L; l++) ends[l] = ends[l - 1] + widths[l] * (widths[l - 1] + 1);
      const numbers = () => new Float32Array(ends[L]);
      Object.assign(this, { parameters: numbers(), gradients: numbers() });
      this.moments = Array.from({ length: MOMENTS[optimizer] }, numbers);
      // By layer: weights, biases and their gradients; signals (h[0] are the inputs), slopes, and gradients in z.
      for (const name of ["W", "b", "dW", "db", "h", "slope", "delta"]) this[name] = [];
      for (let l = 0; l <= L; l++) {
        for (const name of ["h", "slope", "delta"]) this[name][l] = new Float32Array(batch * widths[l]);
        if (!l) continue;
        const from = ends[l - 1], biases = ends[l] - widths[l];
        for (const [W, b, all] of [["W", "b", this.parameters], ["dW", "db", this.gradients]]) {
          this[W][l] = all.subarray(from, biases);
          this[b][l] = all.subarray(biases, ends[l]);
        }
        this.draw(l, spec.schemes ? spec.schemes[l - 1] : spec.scheme, seed, replica * 64 + l);
      }
      if (spec.outBias) this.b[L].set(spec.outBias);
      this.start = this.W[1].slice();
      this.labels = new Uint8Array(batch);
    }

    draw(l, scheme, seed, stream) {
      const m = this.sizes[l], n = this.sizes[l - 1], stride = this.widths[l - 1];
      const { hiddenBias = 0, sigmaB = 0 } = this.spec;
      const std = STD[scheme.name](n, m, scheme), uniform = scheme.law === "uniform" || scheme.name === "heuristic";
      const next = rng(seed, stream, STREAMS.weights), bias = rng(seed, stream, STREAMS.biases);
      for (let r = 0; r < m; r++) {
        for (let c = 0; c < n; c++) {
          const unit = uniform ? sqrt(3) * even(next) : normal(next);
          this.W[l][r * stride + c] = scheme.name === "constant" ? scheme.value : std * unit;
        }
        if (l < this.L) this.b[l][r] = hiddenBias + sigmaB * normal(bias);
      }
    }

    /** Copy some rows of the inputs `x` into the batch. */
    take(x, rows, from) {
      const n = this.widths[0], h = this.h[0];
      for (let b = 0; b < this.batch; b++) h.set(x.subarray(rows[from + b] * n, rows[from + b] * n + n), b * n);
    }

    forward() {
      const { L, batch, widths, h, slope, spec } = this;
      for (let l = 1; l <= L; l++) {
        times(h[l - 1], this.W[l], this.b[l], h[l], batch, widths[l - 1], widths[l]);
        if (l === L) break;
        PHI[spec.phi](h[l], slope[l], batch * widths[l]);
        if (spec.phi === "sigmoid") this.clear(l); // which makes 1/2 of the padding's zeros
      }
    }

    clear(l) {
      const { sizes, widths } = this;
      if (sizes[l] === widths[l]) return;
      for (let b = 0; b < this.batch; b++) this.h[l].fill(0, b * widths[l] + sizes[l], (b + 1) * widths[l]);
    }

    /** Mean cross-entropy of the batch; leaves its gradient with respect to z_L in delta[L]. */
    loss() {
      const { L, batch, labels } = this, classes = this.sizes[L], z = this.h[L], delta = this.delta[L];
      let sum = 0;
      for (let b = 0; b < batch; b++) {
        const at = b * this.widths[L];
        let top = -Infinity, total = 0;
        for (let c = 0; c < classes; c++) top = max(top, z[at + c]);
        for (let c = 0; c < classes; c++) total += exp(z[at + c] - top);
        for (let c = 0; c < classes; c++) delta[at + c] = exp(z[at + c] - top) / total / batch;
        delta[at + labels[b]] -= 1 / batch;
        sum += log(total) + top - z[at + labels[b]];
      }
      return sum / batch;
    }

    backward() {
      const { L, batch, widths, h, delta, slope } = this;
      for (let l = L; l >= 1; l--) {
        outer(delta[l], h[l - 1], this.dW[l], this.db[l], batch, widths[l - 1], widths[l]);
        if (l > 1) timesBack(delta[l], this.W[l], slope[l - 1], delta[l - 1], batch, widths[l - 1], widths[l]);
      }
    }

    /** What the gradient of all parameters is multiplied by, so that it is no longer than `clip`. */
    shortening() {
      const { gradients, spec } = this;
      if (!spec.clip) return 1;
      let sum = 0;
      for (let k = 0; k < gradients.length; k++) sum += gradients[k] * gradients[k];
      return min(1, spec.clip / sqrt(sum));
    }

    update() {
      const { parameters: P, gradients: G, moments: [M, V], spec: { lr, optimizer } } = this, scale = this.shortening();
      this.updates++;
      if (optimizer === "adam") {
        const rate = lr / (1 - 0.9 ** this.updates), unbiased = 1 - 0.999 ** this.updates;
        for (let k = 0; k < P.length; k++) {
          const g = scale * G[k];
          M[k] = 0.9 * M[k] + 0.1 * g;
          V[k] = 0.999 * V[k] + 0.001 * g * g;
          P[k] -= (rate * M[k]) / (sqrt(V[k] / unbiased) + 1e-8);
        }
      } else if (optimizer === "momentum") {
        for (let k = 0; k < P.length; k++) P[k] -= lr * (M[k] = 0.9 * M[k] + scale * G[k]);
      } else {
        const rate = lr * scale;
        for (let k = 0; k < P.length; k++) P[k] -= rate * G[k];
      }
    }

    /** The loss of a batch, and an update unless it is the `last`. Once a loss is not finite, Infinity and no updates. */
    step(data, rows, from, last = false) {
      if (this.dead) return Infinity;
      for (let b = 0; b < this.batch; b++) this.labels[b] = data.y[rows[from + b]];
      this.take(data.x, rows, from);
      this.forward();
      const loss = this.loss();
      this.dead = !Number.isFinite(loss);
      if (this.dead) return Infinity;
      this.backward();
      if (!last) this.update();
      return loss;
    }

    /** rms by layer of what `by` holds of the last batch: h, the signals, or delta, the gradients with respect to z. */
    rms(by) {
      return by.map((values, l) => {
        let sum = 0;
        for (let k = 0; k < values.length; k++) sum += values[k] * values[k];
        return sqrt(sum / (this.batch * this.sizes[l]));
      });
    }

    /**
     * How it reads `data`: the share of right answers (of those of class `only`), the answers to the inputs with the
     * numbers `shown`, and the first hidden layer whose slopes are all 0 for all inputs, or -1.
     */
    judge(data, only, shown = []) {
      const { batch, L, slope, widths } = this, classes = this.sizes[L], count = data.y.length, z = this.h[L];
      const rows = new Uint16Array(batch), answers = new Uint8Array(count), on = new Uint8Array(L);
      let right = 0, asked = 0;
      for (let from = 0; from < count; from += batch) {
        for (let b = 0; b < batch; b++) rows[b] = min(from + b, count - 1);
        this.take(data.x, rows, 0);
        this.forward();
        for (let l = 1; l < L; l++) on[l] ||= slope[l].some((value) => value !== 0);
        for (let b = 0; b < batch && from + b < count; b++) {
          const at = b * widths[L], label = data.y[from + b];
          let best = 0;
          for (let c = 1; c < classes; c++) if (z[at + c] > z[at + best]) best = c;
          answers[from + b] = best;
          if (only !== undefined && label !== only) continue;
          asked++;
          if (best === label) right++;
        }
      }
      return { score: right / asked, answers: shown.map((k) => answers[k]), off: on.indexOf(0, 1) };
    }

    /** How the incoming weights of the first `count` units have changed since the start, n_0 numbers each. */
    change(count) {
      return this.W[1].slice(0, count * this.widths[0]).map((weight, k) => weight - this.start[k]);
    }
  }

  // ------------------------------------------------------------------------------------------------------------- data

  /**
   * Training and test images as `ini.data.digits()` has them: each pixel with mean 0, all with one scale.
   * The task "eights" asks whether an image is an 8, and keeps 68 of the eights to train on, 5 % of the images.
   */
  function digits(packed, task) {
    const { train, pixels, labels } = packed, count = labels.length;
    const raw = Float32Array.from({ length: count * 64 }, (_, k) => pixels.charCodeAt(k) - 65); // "A" is 0, "Q" 16
    const y = Uint8Array.from(labels, Number), mean = new Float64Array(64);
    let square = 0, eights = 0;
    for (let k = 0; k < train * 64; k++) mean[k % 64] += raw[k] / train;
    for (let k = 0; k < train * 64; k++) square += (raw[k] - mean[k % 64]) ** 2 / (train * 64);
    const x = raw.map((value, k) => (value - mean[k % 64]) / sqrt(square)), rare = task === "eights";
    const part = (kept) => {
      const rows = [...y.keys()].filter(kept), count = rows.length;
      const out = { x: new Float32Array(count * 64), y: new Uint8Array(count) };
      rows.forEach((row, at) => {
        out.x.set(x.subarray(row * 64, row * 64 + 64), at * 64);
        out.y[at] = rare ? +(y[row] === 8) : y[row];
      });
      return out;
    };
    return { train: part((k) => k < train && !(rare && y[k] === 8 && ++eights > 68)), test: part((k) => k >= train) };
  }

  /** The order of one replica's batches, the same in both lanes: a new permutation a pass, no incomplete batch. */
  class Order {
    constructor(count, batch, seed, replica) {
      const rows = Uint16Array.from({ length: count }, (_, k) => k);
      Object.assign(this, { rows, batch, at: count, next: rng(seed, replica, STREAMS.order) });
    }

    /** Where in `rows` the next batch begins. */
    advance() {
      const { rows, batch } = this;
      if (this.at + batch > rows.length) {
        for (let k = rows.length - 1; k > 0; k--) {
          const j = this.next() % (k + 1);
          [rows[k], rows[j]] = [rows[j], rows[k]];
        }
        this.at = 0;
      }
      this.at += batch;
      return this.at - batch;
    }
  }

  // ----------------------------------------------------------------------------------------------------------- a race

  const MARGIN = 0.05; // of the test images: less between two lanes is no clear difference

  /** How many networks a lane has: 8, or as many as about ten seconds allow. */
  function replicas({ specs, steps }) {
    const products = ({ sizes, batch }) => 3 * batch * sizes.reduce((sum, n, l) => sum + (l && n * sizes[l - 1]), 0);
    return max(1, min(8, floor(8e9 / (steps * specs.reduce((sum, spec) => sum + products(spec), 0)))));
  }

  /**
   * A generator of both lanes' networks, step by step, `replicas` a lane. It yields null after a piece of work, and a
   * record after each step: { step, losses: two Float32Arrays, before the step's update; frame?; scores?; off? }.
   * Every `every` steps comes a frame of the first pair, every `all` steps the scores of all networks, and both at the
   * end, after `step` updates. A network that has diverged has the loss Infinity and the score NaN.
   */
  function* race({ lanes, steps, replicas: R, every, all, units = 8, only, shown, seed }, data) {
    every ??= max(1, floor(steps / 40));
    all ??= max(1, floor(steps / 10));
    const nets = lanes.map((spec) => Array.from({ length: R }, (_, r) => new Net(spec, seed, r)));
    const orders = Array.from({ length: R }, (_, r) => new Order(data.train.y.length, lanes[0].batch, seed, r));
    for (let step = 0; step <= steps; step++) {
      const last = step === steps, record = { step, losses: lanes.map(() => new Float32Array(R)) };
      const draws = step % every === 0 || last, scores = step % all === 0 || last;
      if (draws) record.frame = [];
      if (scores) Object.assign(record, { scores: lanes.map(() => []), off: lanes.map(() => 0) });
      for (let r = 0; r < R; r++) {
        const from = orders[r].advance();
        for (let lane = 0; lane < lanes.length; lane++) {
          const net = nets[lane][r], framed = draws && r === 0;
          const judged = !net.dead && (scores || framed) ? net.judge(data.test, only, shown) : {};
          const change = framed ? net.change(units) : null;
          record.losses[lane][r] = net.step(data.train, orders[r].rows, from, last);
          if (net.dead) Object.assign(judged, { score: NaN, answers: [], off: -1 });
          if (scores) record.scores[lane].push(judged.score);
          if (scores && judged.off > 0) record.off[lane]++;
          if (framed) {
            const { score, answers } = judged, gradient = net.dead ? null : net.rms(net.delta).slice(1);
            record.frame[lane] = { score, answers, change, gradient };
            if (!step) record.frame[lane].signal = net.dead ? null : net.rms(net.h);
          }
          yield null;
        }
      }
      yield record;
    }
  }

  const median = (values) => {
    const sorted = [...values].sort((a, b) => a - b), half = (sorted.length - 1) / 2;
    return (sorted[floor(half)] + sorted[Math.ceil(half)]) / 2;
  };

  /** By the last record's scores: who is ahead, "a", "b" or "even"; the median of b - a; how many pairs say the same. */
  function verdict([a, b]) {
    const differences = b.map((score, r) => (score || 0) - (a[r] || 0)), middle = median(differences); // diverged: 0
    const winner = abs(middle) < MARGIN ? "even" : middle > 0 ? "b" : "a";
    const says = (d) => (winner === "even" ? abs(d) < MARGIN : (winner === "b" ? d : -d) >= MARGIN);
    return { winner, middle, votes: differences.filter(says).length };
  }

  return { rng, normal, Net, Order, digits, race, replicas, verdict, MARGIN, PHI, STD };
}

/**
 * The races on offer. Each has a `chip` (its name), the `chapter` and `link` that explain it, and the `stop` of the hour
 * that shows it, if any; `net` (what both lanes share), `ask` (what differs), two `lanes` with a name and a color, and
 * `why`. `ahead` says who is, after `steps` steps: "a", "b" or "even", by the share of test images read right (in the task
 * "eights": of those of class `find` found). `specs` and `colors`, one a lane, are made from these.
 *
 * tests/test_train_engine.py measures what `why` and `ahead` say. A race shows one rate; who is ahead is so with each lane
 * at its own best of seven as well, by a quarter of the loss or more: benchmarks/train_rates.py.
 */
function trainPresets() {
  "use strict";
  const layers = (L, scheme, own = {}) => Array.from({ length: L }, (_, l) => own[l + 1] || scheme); // own: by layer
  const wide = (L, width, out = 10) => [64, ...Array(L - 1).fill(width), out];
  const sgd = (sizes, phi, lr, batch) => ({ sizes, phi, lr, batch, optimizer: "sgd" });
  const momentum = (...settings) => ({ ...sgd(...settings), optimizer: "momentum", clip: 1 });
  const constant = { name: "constant", value: 0.1 }, zeros = { name: "zeros" }, small = { name: "small_random" };
  const xavier = { name: "xavier" }, he = { name: "he" }, lecun = { name: "lecun" }, heuristic = { name: "heuristic" };
  const free = (gain) => ({ name: "free", gain });
  const eights = { ...sgd([64, 64, 2], "relu", 0.01, 128), optimizer: "adam", schemes: [he, zeros] };
  const LOG_ODDS = Math.log(68 / 1298); // of an eight among the images of the task "eights"
  // Light and dark, as the book's figures have them: a scheme has the same color everywhere.
  const COLORS = {
    gray: ["#5F5F5F", "#B0B0B0"], pink: ["#B2588A", "#E48FBB"], gold: ["#A86E00", "#F0B93C"],
    blue: ["#0072B2", "#5BB0EC"], red: ["#B84300", "#FF8F55"], green: ["#007A5A", "#3ECF9F"],
    violet: ["#5B4BC4", "#AEA2FF"],
  };

  const PRESETS = {
    symmetry: {
      chip: "Equal weights", chapter: "1", link: "01_symmetry.html#claim-1", stop: 1, ahead: "b", steps: 300,
      base: sgd(wide(2, 16), "tanh", 0.1, 16),
      net: "one hidden layer of 16 tanh units", ask: "only the first weights differ",
      lanes: [
        { name: "all 0.1", color: "pink", scheme: constant },
        { name: "random (Xavier)", color: "blue", scheme: xavier },
      ],
      why: "Sixteen units with equal weights, in and out, get equal gradients, so they stay copies: the layer works "
        + "as one unit.",
    },
    "symmetry-last": {
      chip: "Half equal", chapter: "1", link: "01_symmetry.html#symmetry-partly", ahead: "even", steps: 300,
      base: sgd(wide(2, 16), "tanh", 0.2, 16),
      net: "one hidden layer of 16 tanh units", ask: "only the first matrix differs",
      lanes: [
        { name: "first matrix all 0.1", color: "pink", schemes: [constant, xavier] },
        { name: "both random (Xavier)", color: "blue", scheme: xavier },
      ],
      why: "The outgoing weights are random, and they stand in the gradients of the incoming ones: after one step "
        + "the units differ.",
    },
    zero: {
      chip: "Zeros", chapter: "2", link: "02_zero.html#zero-purpose", stop: 2, ahead: "b", steps: 200,
      base: sgd(wide(3, 32), "relu", 0.1, 32),
      net: "two hidden layers of 32 ReLU units", ask: "only the place of the zeros differs",
      lanes: [
        { name: "all weights 0", color: "gray", scheme: zeros },
        { name: "last matrix 0, rest He", color: "red", schemes: layers(3, he, { 3: zeros }) },
      ],
      why: "Both begin with the same guess. With zeros everywhere no weight gets a gradient, only the output’s bias. "
        + "With one zero matrix, at the end, that matrix moves first, and the others one step later.",
    },
    "zero-middle": {
      chip: "One zero matrix", chapter: "2", link: "02_zero.html#zero-purpose", ahead: "b", steps: 200,
      base: sgd(wide(3, 32), "relu", 0.1, 32),
      net: "two hidden layers of 32 ReLU units", ask: "one matrix is zero, not the same one",
      lanes: [
        { name: "the middle matrix 0", color: "gray", schemes: layers(3, he, { 2: zeros }) },
        { name: "the last matrix 0", color: "red", schemes: layers(3, he, { 3: zeros }) },
      ],
      why: "A zero matrix in front of a ReLU puts every unit on the kink, where the slope is set to 0, and no "
        + "gradient comes through. The last matrix has no ReLU behind it.",
    },
    "zero-logistic": {
      chip: "Zeros, no hidden layer", chapter: "2", link: "02_zero.html#claim-2", ahead: "even", steps: 200,
      base: sgd([64, 10], "linear", 0.3, 32),
      net: "no hidden layer", ask: "only the first weights differ",
      lanes: [
        { name: "all weights 0", color: "gray", scheme: zeros },
        { name: "random, 0.01", color: "gold", scheme: small },
      ],
      why: "Without a hidden layer zeros move at the first step: the input is the signal, and the labels tell the "
        + "rows apart.",
    },
    small: {
      chip: "0.01, deep", chapter: "3", link: "03_small_random.html#claim-5", stop: 3, ahead: "b", steps: 150,
      base: sgd(wide(6, 32), "tanh", 0.1, 16),
      net: "five hidden layers of 32 tanh units", ask: "only the size of the first weights differs",
      lanes: [
        { name: "0.01 · random", color: "gold", scheme: small },
        { name: "random / √n", color: "green", scheme: lecun },
      ],
      why: "A layer of 32 with weights of 0.01 makes the signal about 18 times smaller, and the gradient on its way "
        + "back too. Six layers of that, and the first steps are too small to see. Nothing is broken: it would take "
        + "very long.",
    },
    "small-shallow": {
      chip: "0.01, shallow", chapter: "3", link: "03_small_random.html#small-random-steps", ahead: "even", steps: 150,
      base: sgd(wide(2, 32), "tanh", 0.3, 32),
      net: "one hidden layer of 32 tanh units", ask: "only the size of the first weights differs",
      lanes: [
        { name: "0.01 · random", color: "gold", scheme: small },
        { name: "random / √n", color: "green", scheme: lecun },
      ],
      why: "With two matrices a start ten times smaller costs a fixed number of steps more: late at first, level "
        + "soon.",
    },
    chaos: {
      chip: "Large weights", chapter: "4", link: "04_vanishing_exploding.html#vanishing-surprise", stop: 4, ahead: "b",
      steps: 150, base: sgd(wide(10, 24), "tanh", 0.1, 16),
      net: "nine hidden layers of 24 tanh units, the same last matrix",
      ask: "only the size of the hidden layers’ weights differs",
      lanes: [
        { name: "σ_w = 4", color: "violet", schemes: layers(10, free(4), { 10: free(1) }) },
        { name: "σ_w = 1", color: "green", scheme: free(1) },
      ],
      why: "At σ_w = 4 many units are saturated, and still the gradient grows on its way back: the others pass it on "
        + "through weights four times as large. This is tanh’s chaotic phase.",
    },
    order: {
      chip: "Half the weights", chapter: "4", link: "04_vanishing_exploding.html#vanishing-order", stop: 5, ahead: "b",
      steps: 150, base: sgd(wide(10, 24), "tanh", 0.1, 16),
      net: "nine hidden layers of 24 tanh units", ask: "only the size of the first weights differs",
      lanes: [
        { name: "σ_w = 0.5", color: "gold", scheme: free(0.5) },
        { name: "σ_w = 1", color: "green", scheme: free(1) },
      ],
      why: "Half is not half: over ten layers 0.5 becomes 0.5¹⁰, about a thousandth, of the signal and of the "
        + "gradient.",
    },
    xavier: {
      chip: "Xavier", chapter: "5", link: "05_xavier.html#xavier-training", ahead: "b", steps: 150,
      base: sgd(wide(11, 24), "tanh", 0.1, 16),
      net: "ten hidden layers of 24 tanh units", ask: "only the size of the first weights differs",
      lanes: [
        { name: "old rule, ±1/√n", color: "gold", scheme: heuristic },
        { name: "Xavier uniform", color: "blue", scheme: { ...xavier, law: "uniform" } },
      ],
      why: "The old rule has a variance of 1/(3n): each layer multiplies signal and gradient by 1/√3 = 0.58. "
        + "Xavier’s variance is three times that, and only what tanh bends away is lost.",
    },
    "xavier-law": {
      chip: "Normal or uniform", chapter: "5", link: "05_xavier.html#claim-17", ahead: "even", steps: 150,
      base: sgd(wide(3, 24), "tanh", 0.3, 24),
      net: "two hidden layers of 24 tanh units", ask: "only the law of the first weights differs",
      lanes: [
        { name: "Xavier normal", color: "violet", scheme: xavier },
        { name: "Xavier uniform", color: "blue", scheme: { ...xavier, law: "uniform" } },
      ],
      why: "Both laws have the same variance, and only the variance decides how large signal and gradient are.",
    },
    he: {
      chip: "He, 18 layers", chapter: "6", link: "06_he.html#he-trains", stop: 6, ahead: "b", steps: 150,
      base: momentum(wide(18, 32), "relu", 0.03, 16),
      net: "17 hidden layers of 32 ReLU units", ask: "only a factor of √2 in the first weights differs",
      lanes: [{ name: "Xavier", color: "blue", scheme: xavier }, { name: "He", color: "red", scheme: he }],
      why: "A ReLU passes half of the mean square on. He’s factor 2 makes up for it, on average; without it each "
        + "layer keeps 1/√2 of the signal and of the gradient.",
    },
    "he-shallow": {
      chip: "He, 3 layers", chapter: "6", link: "06_he.html#he-trains", ahead: "even", steps: 150,
      base: momentum(wide(3, 32), "relu", 0.03, 32),
      net: "two hidden layers of 32 ReLU units", ask: "only a factor of √2 in the first weights differs",
      lanes: [{ name: "Xavier", color: "blue", scheme: xavier }, { name: "He", color: "red", scheme: he }],
      why: "Over three layers the factor makes He’s outputs only about twice as large. Training makes that up in a "
        + "few steps.",
    },
    default: {
      chip: "nn.Linear, 9 layers", chapter: "6", link: "06_he.html#he-linear", stop: 8, ahead: "b", steps: 120,
      base: sgd(wide(9, 48), "relu", 0.1, 16),
      net: "eight hidden layers of 48 ReLU units, zero biases", ask: "only the size of the first weights differs",
      lanes: [
        { name: "PyTorch’s weights, ±1/√n", color: "gold", scheme: heuristic },
        { name: "He", color: "red", scheme: he },
      ],
      why: "PyTorch draws the weights of nn.Linear with a variance of 1/(3n), a sixth of He’s: a ReLU layer keeps "
        + "0.41 of signal and gradient, nine layers less than a thousandth.",
    },
    selu: {
      chip: "SELU", chapter: "7", link: "07_lecun.html#lecun-three-quarters", ahead: "b", steps: 100,
      base: sgd(wide(21, 24), "selu", 0.03, 16),
      net: "20 hidden layers of 24 SELU units", ask: "only a factor of √2 in the first weights differs",
      lanes: [{ name: "He", color: "red", scheme: he }, { name: "LeCun", color: "green", scheme: lecun }],
      why: "SELU was made for a variance of 1/n. He’s 2/n was made for ReLU: here signal and gradient grow layer by "
        + "layer, and the first answers are wrong with great confidence.",
    },
    "selu-names": {
      chip: "SELU, two names", chapter: "7", link: "07_lecun.html#all-schemes", ahead: "even", steps: 100,
      base: sgd(wide(4, 24), "selu", 0.1, 32),
      net: "three hidden layers of 24 SELU units", ask: "only the rule of the first weights differs",
      lanes: [{ name: "Xavier", color: "blue", scheme: xavier }, { name: "LeCun", color: "green", scheme: lecun }],
      why: "Xavier divides by the average fan, LeCun by fan_in. Between layers of one width these are the same "
        + "number; only the first and the last matrix differ in size.",
    },
    bias: {
      chip: "Output bias", chapter: "8", link: "08_biases.html#biases-prior", stop: 7, ahead: "b", steps: 25,
      base: eights, task: "eights", find: 1,
      net: "one hidden layer of 64 ReLU units, Adam", ask: "only the output’s bias differs",
      lanes: [{ name: "bias 0", color: "gray" }, { name: "log-odds", color: "green", outBias: [0, LOG_ODDS] }],
      why: "Only 5 % of the images are eights. From bias 0 Adam’s first steps, all of about one size, go into "
        + "finding that out; the log-odds say it from the start. It is a head start: trained longer, both find most "
        + "of them.",
    },
    "bias-random": {
      chip: "Random biases", chapter: "8", link: "08_biases.html#biases-critical", ahead: "b", steps: 150,
      base: sgd(wide(10, 24), "tanh", 0.1, 16),
      net: "nine hidden layers of 24 tanh units, σ_w = 1", ask: "only the hidden biases differ",
      lanes: [
        { name: "random biases, σ_b = 1", color: "violet", scheme: free(1), sigmaB: 1 },
        { name: "biases 0", color: "gray", scheme: free(1) },
      ],
      why: "Such biases push tanh units to where they are flat, and add nothing on the way back: each layer makes "
        + "the gradient smaller. To keep it, the weights would have to grow with the biases.",
    },
    "bias-hidden": {
      chip: "Positive bias", chapter: "8", link: "08_biases.html#claim-27", ahead: "even", steps: 150,
      base: sgd([64, 32, 10], "relu", 0.2, 32),
      net: "one hidden layer of 32 ReLU units", ask: "only the hidden biases differ",
      lanes: [
        { name: "biases 0", color: "gray", scheme: he },
        { name: "biases 0.1", color: "red", scheme: he, hiddenBias: 0.1 },
      ],
      why: "With He’s weights a bias of 0.1 switches few units on: 53 % instead of half. It works like a slightly "
        + "larger rate.",
    },
  };
  for (const one of Object.values(PRESETS)) {
    one.specs = one.lanes.map(({ name, color, ...lane }) => ({ ...one.base, ...lane }));
    one.colors = one.lanes.map(({ color }) => COLORS[color]);
  }
  return PRESETS;
}

// ---------------------------------------------------------------------------------------------------- the element

/**
 * What a worker does: race after race in parcels of 30 ms, each race in its turn; between parcels it listens.
 * It hears { packed } (the digits), { job, task, race }, { stop: job } and { hold }, and says { job, records, done }.
 */
function trainWorker(engine) {
  const running = new Map(), sets = {}, { port1, port2 } = new MessageChannel();
  let packed, held = false, called = false;
  const call = () => {
    if (called || held || !running.size) return;
    called = true;
    port2.postMessage(0);
  };
  port1.onmessage = () => {
    called = false;
    for (const [job, run] of running) {
      const until = performance.now() + 30, records = [];
      let next = { done: false };
      while (!next.done && performance.now() < until) {
        next = run.next();
        if (next.value) records.push(next.value);
      }
      if (next.done) running.delete(job);
      if (records.length || next.done) self.postMessage({ job, records, done: next.done });
    }
    call();
  };
  self.onmessage = ({ data }) => {
    if (data.packed) packed = data.packed;
    if (data.race) running.set(data.job, engine.race(data.race, (sets[data.task] ??= engine.digits(packed, data.task))));
    if (data.stop) running.delete(data.stop);
    if ("hold" in data) held = data.hold;
    call();
  };
}

/** Define <train-lab>. `address` is this script's own, from which a worker is made; a module has none. */
function trainElement(address) {
  const { max, min, round, log10 } = Math;
  const P = trainPresets(), MAIN = ["symmetry", "zero", "small", "chaos", "xavier", "he", "selu", "bias"];
  const LETTERS = ["A", "B"], LANES = [0, 1], UNITS = 8, EVERY = 4, SMOOTH = 5;
  const SLICE = 10, AWAY = 250; // milliseconds: of computing in a frame; the longest that a frame counts
  const SCHEMES = {
    zeros: ["zeros", { name: "zeros" }], constant: ["all 0.1", { name: "constant", value: 0.1 }],
    small: ["0.01 · random", { name: "small_random" }], heuristic: ["old rule, ±1/√n", { name: "heuristic" }],
    lecun: ["LeCun, 1/√n", { name: "lecun" }], xavier: ["Xavier", { name: "xavier" }], he: ["He", { name: "he" }],
    half: ["σ_w = 0.5", { name: "free", gain: 0.5 }], twice: ["σ_w = 2", { name: "free", gain: 2 }],
    large: ["σ_w = 4", { name: "free", gain: 4 }],
  };
  const same = (values) => values.map((value) => [value, value]);
  const FIELDS = { // of a race of one's own: label, options, what is chosen at first
    a: ["A starts with", Object.entries(SCHEMES).map(([key, [words]]) => [key, words]), "xavier"],
    b: ["B starts with", Object.entries(SCHEMES).map(([key, [words]]) => [key, words]), "he"],
    phi: ["Activation", [["tanh", "tanh"], ["relu", "ReLU"], ["sigmoid", "sigmoid"], ["selu", "SELU"], ["linear", "linear"]], "relu"],
    layers: ["Layers", same([1, 2, 3, 4, 6, 10, 15, 22, 30]), 10],
    width: ["Width", same([16, 24, 32, 48, 64, 96, 128]), 32],
    optimizer: ["Optimizer", [["sgd", "SGD"], ["momentum", "SGD, momentum 0.9"], ["adam", "Adam"]], "sgd"],
    lr: ["Learning rate", same([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1]), 0.1],
    steps: ["Steps", same([100, 200, 300]), 200],
  };
  const OWN = [["#A86E00", "#F0B93C"], ["#5B4BC4", "#AEA2FF"]]; // colors on light and on dark paper
  const RAMPS = {
    light: ["#1d5fa8", "#7db3d8", "#fdfdfb", "#ee9f80", "#b2182b"],
    dark: ["#7cc0ff", "#2d69a6", "#171613", "#a4452f", "#ff9d7c"],
  };

  // ----------------------------------------------------------------------------------------------- numbers in words

  const percent = (share) => (Number.isFinite(share) ? `${round(100 * share)}\u00a0%` : "–");

  /** Words as they are set: σ_w with its index, and % in the line of its number. */
  const set = (words) => words.replace(/σ_(\w)/g, "σ<sub>$1</sub>").replace(/(\d) %/g, "$1\u00a0%");

  /** A quantile that also holds where some values are Infinity. */
  function quantile(values, p) {
    const sorted = [...values].sort((a, b) => a - b), at = p * (sorted.length - 1), low = Math.floor(at);
    const gap = (sorted[low + 1] ?? Infinity) - sorted[low];
    return Number.isFinite(gap) ? sorted[low] + (at - low) * gap : sorted[round(at)];
  }

  const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

  /** One digit: 0.06, 20, or times a power of ten. */
  function rough(x) {
    if (x === 0) return "0";
    if (x >= 0.01 && x < 999.5) return String(Number(x.toPrecision(1)));
    const [digit, exponent] = x.toExponential(0).split("e");
    return `${digit === "1" ? "" : `${digit}·`}10${String(+exponent).replace(/./g, (c) => RAISED[c])}`;
  }

  const listed = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

  /** What is asked. */
  function question({ net, ask, task, steps }) {
    const [images, most] = task === "eights" ? ["images, 5 % of them eights", "finds more eights"] : ["digits", "reads more new digits right"];
    return `Same network (${net}), same ${images}, same order; ${ask}. <b>Which start ${most} after ${steps} steps?</b>`;
  }

  const things = ({ task }) => (task === "eights" ? "of the eights found" : "of 360 new digits right");

  /** The verdict on a race and on what was said before. */
  function judgement(preset, { choice, winner, votes, scores, replicas }) {
    const was = winner === "even" ? "about even" : winner.toUpperCase(), [x, z] = winner === "a" ? LANES : [1, 0];
    const guess = choice === "even" ? "no difference" : choice.toUpperCase();
    const said = choice === winner ? "You were right." : `You said ${guess}; it was ${was}.`;
    return winner === "even"
      ? `${said} A ${scores[0]}, B ${scores[1]}: no clear difference in ${votes} of ${replicas} draws.`
      : `${said} ${LETTERS[x]} has ${scores[x]} ${things(preset)}, ${LETTERS[z]} ${scores[z]}; ${LETTERS[x]} is ahead in ${votes} of ${replicas} draws.`;
  }

  /** Why: the preset's sentence and what was measured. `sizes`: of each lane, signal and gradient at step 0, or null. */
  function reasons(preset, { sizes: [a, b], off, diverged, replicas }) {
    const words = [preset.why];
    if (a && b) {
      words.push(`At step 0 the signal ended at ${rough(a[0])} of the input’s size in A, ${rough(b[0])} in B; `
        + `the gradient came back as ${rough(a[1])} and ${rough(b[1])} of its start.`);
    }
    for (const k of LANES) {
      if (diverged[k]) words.push(`${diverged[k]} of ${replicas} networks of ${LETTERS[k]} diverged.`);
      if (off[k]) words.push(`In ${off[k]} of ${replicas} networks of ${LETTERS[k]} a whole layer is off now, for every image.`);
    }
    return words.filter(Boolean).join(" ");
  }

  /** A result with long words, for the room that is kept. */
  const longest = ({ specs: [{ sizes, phi }] }) => ({
    choice: "even", winner: "b", votes: 8, replicas: 8, scores: ["88 %", "88 %"], diverged: [0, 0],
    sizes: sizes.length > 4 ? [[2e-10, 2e-10], [0.02, 0.02]] : [null, null], off: [phi === "relu" && sizes.length > 4 ? 8 : 0, 0],
  });

  // --------------------------------------------------------------------------------------------------- how it looks

  const STYLE = `
:host { display: block; }
.box { container-type: inline-size; }
.race { --ink: #1f2430; --soft: #565d6b; --line: #d5d8de; --edge: #8b93a1; --paper: #fdfdfb; --field: #fff; --accent: #0a5ea8; --band: #e9eef3; --good: #00704f; --bad: #a3312a;
  box-sizing: border-box; display: flex; flex-direction: column; gap: 0.7rem; min-height: 50rem; padding: 0.9rem; border: 1px solid var(--line); border-radius: 10px;
  background: var(--paper); color: var(--ink); font-size: 0.9375rem; line-height: 1.4; text-align: left; }
.dark { --ink: #dfdcd4; --soft: #aaa79e; --line: #3a3833; --edge: #7d786f; --paper: #171613; --field: #24221e; --accent: #7cc0ff; --band: #24221e; --good: #3ecf9f; --bad: #ff9d7c; color-scheme: dark; }
.race { --a: var(--a-light); --b: var(--b-light); } .race.dark { --a: var(--a-dark); --b: var(--b-dark); }
[data-lane="0"] { --color: var(--a); } [data-lane="1"] { --color: var(--b); }
.race * { box-sizing: border-box; }
p { margin: 0; }
[hidden] { display: none !important; }
.stack { display: grid; } .stack > * { grid-area: 1 / 1; } .ghost { visibility: hidden; }
.chips { display: flex; flex-wrap: wrap; gap: 0.35rem; }
button, select { font: inherit; color: inherit; min-height: 2.2rem; background: var(--field); border: 1px solid var(--edge); border-radius: 6px; }
button { padding: 0.2rem 0.7rem; cursor: pointer; }
button:hover { border-color: var(--accent); color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.chips button { font-size: 0.8125rem; min-height: 1.9rem; }
.chips [aria-pressed="true"] { background: var(--accent); border-color: var(--accent); color: var(--paper); font-weight: 600; }
.question { font-size: 1.05rem; } .question b { font-weight: 650; }
.pair { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 0.9rem; }
.lane { display: grid; grid-template-columns: minmax(0, 1fr); gap: 0.3rem; align-content: start; min-width: 0; }
.head { grid-template-columns: minmax(0, 1fr) auto; align-items: center; border-top: 4px solid var(--color); padding-top: 0.4rem; }
.name { display: grid; grid-template-columns: auto minmax(0, 1fr); align-items: start; font-weight: 650; overflow-wrap: anywhere; }
.letter { display: inline-block; min-width: 1.5rem; margin-right: 0.35rem; border-radius: 4px; background: var(--color); color: var(--paper); font-weight: 700; text-align: center; }
.score { line-height: 1.1; text-align: right; white-space: nowrap; }
.score b { margin-right: 0.35rem; color: var(--color); font-size: 1.9rem; font-weight: 700; line-height: 1; font-variant-numeric: tabular-nums; }
.score small, .label { color: var(--soft); font-size: 0.8125rem; }
.bet { grid-column: 1 / -1; order: 3; width: 100%; min-height: 2.6rem; border: 2px solid var(--color); font-weight: 600; }
.play { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 0.9rem; }
.even { border-width: 2px; font-weight: 600; }
.locked [data-bet] { cursor: default; } .locked [data-bet]:hover { color: inherit; border-color: var(--color, var(--edge)); } .locked [data-bet][aria-pressed="false"] { color: var(--soft); border-style: dashed; }
.race [data-bet][aria-pressed="true"] { background: var(--color, var(--soft)); border-color: var(--color, var(--soft)); color: var(--paper); }
.tools { display: flex; align-items: center; justify-content: flex-end; gap: 0.5rem; min-width: 0; min-height: 2.2rem; color: var(--soft); font-size: 0.8125rem; } .tools button { color: var(--ink); white-space: nowrap; }
.tools label { display: flex; flex: 1; align-items: center; gap: 0.5rem; min-width: 0; }
.scrub { flex: 1; min-width: 3rem; height: 1.6rem; accent-color: var(--accent); } output { min-width: 5.2rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.below { flex: 1 0 auto; grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); } .units { box-shadow: 0 0 0 1px var(--line); margin: 1px; } .plot { position: relative; min-height: 10.5rem; } .chart { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.result { padding: 0.6rem 0.8rem; border-left: 0.3rem solid var(--edge); border-radius: 6px; background: var(--band); font-size: 0.8125rem; align-content: start; }
.result.hit { border-color: var(--good); } .result.miss { border-color: var(--bad); }
.result b { display: block; font-size: 0.9375rem; line-height: 1.3; } .why { margin-top: 0.35rem; } .result a { color: var(--accent); font-weight: 600; }
.reads { display: grid; grid-template-columns: repeat(8, 1fr); gap: 0.2rem; }
.digit { display: grid; justify-items: center; gap: 0.1rem; } .digit b { min-height: 1.1em; font-size: 0.875rem; line-height: 1.1; font-variant-numeric: tabular-nums; }
.right { color: var(--good); } .wrong { color: var(--bad); font-weight: 400; text-decoration: line-through; }
canvas { display: block; border-radius: 2px; image-rendering: pixelated; } .digit canvas { width: 100%; max-width: 40px; height: auto; aspect-ratio: 1; }
.bars { display: block; width: 100%; height: 2.6rem; } .bars rect { fill: var(--color); } .bars path { stroke: var(--line); }
text { font-size: 11px; fill: var(--soft); } .end { text-anchor: end; } .middle { text-anchor: middle; } .tag { font-size: 13px; font-weight: 700; }
.grid { stroke: var(--line); stroke-width: 0.7; } .guess { stroke: var(--ink); stroke-width: 1.2; stroke-dasharray: 5 4; opacity: 0.7; }
.curve { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round; } .spread { opacity: 0.2; }
.curve.a { stroke: var(--a); stroke-dasharray: 1 5; } .curve.b { stroke: var(--b); } .spread.a, .tag.a { fill: var(--a); } .spread.b, .tag.b { fill: var(--b); }
summary { color: var(--accent); cursor: pointer; } .fields { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 0.5rem; margin: 0.5rem 0; }
.fields label { display: grid; color: var(--soft); font-size: 0.8125rem; } select { color: var(--ink); min-width: 0; }
sub { line-height: 0; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.paper { display: none; }
@container (max-width: 599px) {
  .race { gap: 0.6rem; min-height: 76rem; padding: 0.6rem; } .question { font-size: 1rem; } .pair { gap: 0.5rem; }
  .chips { flex-wrap: nowrap; margin: -3px; padding: 3px; overflow-x: auto; } .chips button { flex: none; }
  .head { grid-template-columns: minmax(0, 1fr); } .head .bet { order: 0; padding: 0.2rem; font-size: 0.875rem; } .score { text-align: left; } .score b { font-size: 1.6rem; } .score small { display: block; }
  .play { grid-template-columns: minmax(0, 1fr); gap: 0.5rem; } .tools label span { display: none; }
  .below { grid-template: minmax(10rem, 1fr) auto / minmax(0, 1fr); } .reads { grid-template-columns: repeat(4, 1fr); }
  .below { order: 1; } .pictures { order: 2; } details { order: 3; }
}
@media (forced-colors: active) {
  .race { --a: CanvasText; --b: Highlight; --line: GrayText; --soft: CanvasText; --ink: CanvasText; } .letter { border: 1px solid; }
  [aria-pressed="true"] { outline: 2px solid Highlight; outline-offset: -4px; }
}
@media print { .stored .race { display: none; } .stored .paper { display: block; } .chips, .play, details { display: none !important; } }
`;
  const head = (k) => `<div class="head lane" data-lane="${k}">
    <p class="name"><span class="letter" aria-hidden="true">${LETTERS[k]}</span><span class="stack"><span class="words"></span></span></p>
    <button type="button" class="bet" data-bet="${"ab"[k]}" aria-pressed="false">${LETTERS[k]} will be ahead</button>
    <p class="score"><b>–</b><small></small></p></div>`;
  const DIGIT = `<span class="digit"><canvas width="8" height="8"></canvas><b>·</b></span>`;
  const UNSEEN = "Eight new digits."; // until their pictures are drawn
  const pictures = (k) => `<div class="lane" data-lane="${k}">
    <p class="label reading"></p><div class="reads" role="img" aria-label="${UNSEEN}">${Array(8).fill(DIGIT).join("")}</div>
    <p class="label">What training wrote into 8 hidden units</p><canvas class="units" role="img" aria-label="Eight hidden units."></canvas>
    <p class="label depth"></p><svg class="bars" role="img" aria-label="Gradient by layer." viewBox="0 0 100 40" preserveAspectRatio="none"></svg></div>`;
  const field = ([id, [label, options, first]]) => `<label>${label}<select id="${id}">${options
    .map(([value, words]) => `<option value="${value}"${value === first ? " selected" : ""}>${words}</option>`).join("")}</select></label>`;
  const BODY = `<div class="box"><div class="race" role="group" aria-labelledby="question">
    <div class="chips" role="group" aria-label="Races"></div>
    <div class="stack"><p class="question" id="question"></p></div>
    <div class="pair">${LANES.map(head).join("")}</div>
    <div class="play"><button type="button" class="even" data-bet="even" aria-pressed="false">No clear difference</button>
      <div class="tools"><button type="button" class="pause">Pause</button><button type="button" class="skip">To the end</button>
        <label><span>Step</span><input type="range" class="scrub" min="0" step="1" aria-label="Step"><output></output></label>
        <button type="button" class="again">New draw</button></div></div>
    <div class="pair pictures">${LANES.map(pictures).join("")}</div>
    <div class="pair below"><div class="plot"><svg class="chart" role="img" aria-label="Loss by step."></svg></div>
      <div class="stack result"><div><b class="verdict"></b><p class="why"></p></div></div></div>
    <details><summary>Make your own race</summary><div class="fields">${Object.entries(FIELDS).map(field).join("")}</div>
      <button type="button" class="make">Set it up</button></details>
    <div class="sr" role="status"></div>
  </div><slot class="paper"></slot></div>`;

  /** Whether the page is dark: the theme of the site, else JupyterLab's, else the reader's system. */
  function isDark() {
    const site = document.documentElement.dataset.theme, lab = document.body?.dataset.jpThemeLight;
    if (site === "dark" || site === "light") return site === "dark";
    return lab ? lab === "false" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  /** 256 colors between the five of a ramp, as pixels. */
  function colors(theme) {
    const stops = RAMPS[theme].map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
    return Uint32Array.from({ length: 256 }, (_, k) => {
      const at = (k / 255) * 4, low = min(at | 0, 3);
      const [r, g, b] = stops[low].map((channel, j) => round(channel + (at - low) * (stops[low + 1][j] - channel)));
      return (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
    });
  }

  // -------------------------------------------------------- what all races of a page share: data, the worker, turns

  const shared = { engine: null, sets: {}, helper: null, failed: false, alone: [], jobs: 0 };
  const engine = () => (shared.engine ??= trainEngine());

  /** Training and test images, the test images' pixels, and the eight of them that are shown. */
  function images(task) {
    return (shared.sets[task] ??= (() => {
      const { train, pixels, labels } = globalThis.trainDigits, set = engine().digits(globalThis.trainDigits, task);
      const truth = [...labels.slice(train)].map(Number), first = [...new Set(truth)].map((label) => truth.indexOf(label));
      const eights = truth.flatMap((label, k) => (label === 8 ? [k] : [])), others = first.filter((k) => truth[k] !== 8);
      const shown = task === "eights" ? [0, 1, 2, 3].flatMap((k) => [eights[k], others[k]]) : first.slice(0, 8);
      return { ...set, truth, shown, ink: (image, pixel) => (pixels.charCodeAt((train + image) * 64 + pixel) - 65) / 16 };
    })());
  }

  /** The worker: from this very file on the site, from the functions' text in Jupyter. None where a policy or file:// forbids it. */
  function helper() {
    if (shared.helper || shared.failed || TrainLab.noWorker) return shared.helper;
    const fail = () => {
      Object.assign(shared, { failed: true, helper: null });
      document.dispatchEvent(new Event("train-lab-alone"));
    };
    try {
      const text = () => new Blob([`${trainEngine}\n${trainWorker}\ntrainWorker(trainEngine());`], { type: "text/javascript" });
      shared.helper = new Worker(address || URL.createObjectURL(text()));
      shared.helper.addEventListener("error", fail);
      shared.helper.postMessage({ packed: globalThis.trainDigits });
    } catch {
      fail();
    }
    return shared.helper;
  }

  class TrainLab extends HTMLElement {
    static length = 6000; // milliseconds that a race takes at least
    static noWorker = false;

    // ---- life

    connectedCallback() {
      if (!this.root) this.build();
      this.watchers = [
        new ResizeObserver(() => this.redraw()),
        new MutationObserver(() => this.retheme()),
        new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && this.wake(), { rootMargin: "50%" }),
      ];
      this.watchers[0].observe(this.$(".race"));
      for (const node of [document.documentElement, document.body]) {
        this.watchers[1].observe(node, { attributeFilter: ["data-theme", "data-jp-theme-light"] });
      }
      this.watchers[2].observe(this);
      this.signals = new AbortController();
      const { signal } = this.signals;
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.retheme(), { signal });
      document.addEventListener("visibilitychange", () => this.look(), { signal });
      document.addEventListener("train-lab-alone", () => this.job && !this.records.length && this.slowly(), { signal });
      this.retheme();
    }

    disconnectedCallback() {
      this.watchers.forEach((one) => one.disconnect());
      this.signals.abort();
      if (this.choice && !this.finished) this.setUp(this.preset, this.name); // what was begun is not waited for
    }

    $(selector) {
      return this.root.querySelector(selector);
    }

    all(selector) {
      return [...this.root.querySelectorAll(selector)];
    }

    lane(k, selector) {
      return this.$(`[data-lane="${k}"] ${selector}`);
    }

    build() {
      this.root = this.attachShadow({ mode: "open" });
      this.root.innerHTML = `<style>${STYLE}</style>${BODY}`;
      this.$(".box").classList.toggle("stored", !!this.querySelector("figure"));
      this.seed = +(this.getAttribute("seed") || 1);
      const given = (this.getAttribute("presets") || "").trim().split(/[\s,]+/).filter((name) => Object.hasOwn(P, name));
      this.names = given.length ? given : MAIN;
      this.fillChips();
      this.keepRoom();
      const on = (selector, event, what) => this.all(selector).forEach((node) => node.addEventListener(event, what));
      on("[data-bet]", "click", ({ currentTarget }) => this.bet(currentTarget.dataset.bet));
      on(".pause", "click", () => this.hold(!this.held));
      on(".skip", "click", () => this.hurry());
      on(".scrub", "input", ({ target }) => this.show(+target.value));
      on(".again", "click", () => this.draw());
      on(".make", "click", () => this.setUp(this.own(), "own", true));
      this.choose(this.names[0]);
    }

    fillChips() {
      const box = this.$(".chips");
      box.innerHTML = this.names.map((name) => `<button type="button" data-name="${name}">${P[name].chip}</button>`).join("");
      box.hidden = this.names.length < 2;
      for (const chip of box.children) chip.addEventListener("click", () => this.choose(chip.dataset.name));
    }

    /** Put every text that may come into its place, unseen: so nothing moves when another race or its end comes. */
    keepRoom() {
      const ghost = (html) => `<div class="ghost" aria-hidden="true">${html}</div>`;
      const name = (lane) => `<span class="ghost" aria-hidden="true">${set(lane.name)}</span>`;
      const rest = `<a>Why: in this chapter</a>`;
      for (const key of this.names) {
        const long = longest(P[key]);
        for (const k of LANES) this.lane(k, ".name .stack").insertAdjacentHTML("beforeend", P[key].lanes.map(name).join(""));
        this.$(".stack").insertAdjacentHTML("beforeend", ghost(`<p class="question">${set(question(P[key]))}</p>`));
        const words = `<b>${judgement(P[key], long)}</b><p class="why">${set(reasons(P[key], long))} ${rest}</p>`;
        this.$(".result").insertAdjacentHTML("beforeend", ghost(words));
      }
    }

    /** Near to what the reader sees: now the digits are unpacked and drawn. */
    wake() {
      if (this.awake) return;
      this.awake = true;
      for (const k of LANES) this.digits(k);
    }

    /** A page that nobody looks at rests, its worker too. */
    look() {
      shared.helper?.postMessage({ hold: document.hidden });
      if (document.hidden) cancelAnimationFrame(this.frame);
      else this.play();
    }

    // ---- setting up

    choose(name) {
      this.setUp(P[name], name);
    }

    /** The reader's own race. */
    own() {
      const chosen = Object.fromEntries(Object.keys(FIELDS).map((id) => [id, this.$(`#${id}`).value]));
      const { phi, optimizer } = chosen, [layers, width, lr, steps] = ["layers", "width", "lr", "steps"].map((id) => +chosen[id]);
      const spec = { sizes: [64, ...Array(layers - 1).fill(width), 10], phi, optimizer, lr, batch: 32, clip: optimizer === "momentum" ? 1 : 0 };
      const [a, b] = [chosen.a, chosen.b].map((key) => SCHEMES[key]);
      const net = layers > 1 ? `${layers} layers, ${width} wide, ${phi}, rate ${lr}` : `one layer, rate ${lr}`;
      return {
        net, steps, ask: "only the first weights differ", why: "", colors: OWN, lanes: [{ name: a[0] }, { name: b[0] }],
        specs: [{ ...spec, scheme: a[1] }, { ...spec, scheme: b[1] }],
      };
    }

    /** Ask about a race. `byReader`: from where the focus was, it goes on to the first answer. */
    setUp(preset, name, byReader = false) {
      this.stop();
      const p = this.turned(preset, name), layers = p.specs[0].sizes.length - 1;
      Object.assign(this, { preset, name, race: p, choice: null, finished: false, result: null, at: -1, drawn: 0 });
      Object.assign(this, { records: [], frames: [], marks: [], bands: [[], []], scores: [NaN, NaN], current: null });
      this.replicas = engine().replicas(p);
      for (const chip of this.$(".chips").children) chip.setAttribute("aria-pressed", chip.dataset.name === name);
      this.$(".question").innerHTML = set(question(p));
      for (const k of LANES) {
        this.lane(k, ".words").innerHTML = set(p.lanes[k].name);
        this.lane(k, ".score small").textContent = p.task === "eights" ? "found" : "right";
        this.lane(k, ".reading").textContent = p.task === "eights" ? "Is it an 8?" : "What it reads";
        this.lane(k, ".depth").textContent = `Gradient, ${layers > 1 ? `layer 1 to ${layers}` : "its one layer"} (log scale)`;
        ["light", "dark"].forEach((theme, at) => this.$(".race").style.setProperty(`--${"ab"[k]}-${theme}`, p.colors[k][at]));
      }
      this.offer("");
      this.$(".result").className = "stack result";
      this.$(".verdict").textContent = "Choose first: your answer starts the race.";
      const side = this.replicas > 1 ? `${this.replicas} networks a side, each pair with its own draw` : "One network a side";
      this.$(".why").textContent = `${side}. Thick line: the median, band: all. The pictures are of the first pair.`;
      this.blank();
      if (byReader) this.$("[data-bet]").focus({ preventScroll: true });
      if (byReader) this.scrollIntoView({ block: "nearest" });
      this.tell("train-lab-change", { preset: name, seed: this.seed });
    }

    /** The race with its lanes changed over for half of the seeds: else B would always win. */
    turned(preset, name) {
      if (name === "own" || this.hasAttribute("fixed") || !(engine().rng(this.seed, name.length, preset.steps)() & 1)) return preset;
      const [lanes, specs, tints] = [preset.lanes, preset.specs, preset.colors].map(([a, b]) => [b, a]);
      return { ...preset, lanes, specs, colors: tints };
    }

    draw() {
      this.seed = (this.seed + 1) % 2 ** 32;
      this.setUp(this.preset, this.name, true);
    }

    /** Show the controls of a stage: "" before a race, "run" in it, "end" after it. What goes hands its focus on. */
    offer(stage) {
      const tools = { ".pause": "run", ".skip": "run", ".tools label": "end", ".again": "end" }, focused = this.root.activeElement;
      for (const [selector, when] of Object.entries(tools)) this.$(selector).hidden = when !== stage;
      this.$(".race").classList.toggle("locked", stage !== "");
      for (const bet of this.all("[data-bet]")) {
        bet.setAttribute("aria-pressed", bet.dataset.bet === this.choice);
        bet.setAttribute("aria-disabled", stage !== "");
      }
      if (stage === "end" && focused?.closest(".tools")) this.$(".scrub").focus({ preventScroll: true });
    }

    // ---- a race

    bet(choice) {
      if (this.choice) return;
      this.wake();
      this.choice = choice;
      this.offer("run");
      const said = choice === "even" ? "no clear difference" : `${choice.toUpperCase()} will be ahead`;
      this.$(".verdict").textContent = `You say: ${said}. Locked.`;
      this.say(`Locked: ${said}. The race takes about ${round(TrainLab.length / 1000)} seconds.`);
      this.tell("train-lab-change", { bet: choice === "even" ? "even" : this.race.lanes["ab".indexOf(choice)].name });
      this.start();
    }

    start() {
      const { race: p, seed, replicas } = this, { shown } = images(p.task), { specs: lanes, steps, find: only } = p;
      const race = { lanes, steps, replicas, only, shown, seed, every: EVERY, all: Math.ceil(steps / 10), units: UNITS }, worker = helper();
      Object.assign(this, { job: ++shared.jobs, asked: race, playhead: 0, shownAt: 0, held: false, hurried: false });
      this.$(".pause").textContent = "Pause";
      if (worker) {
        this.listen = ({ data }) => data.job === this.job && this.receive(data.records);
        worker.addEventListener("message", this.listen);
        worker.postMessage({ job: this.job, race, task: p.task });
      } else this.slowly();
      this.play();
    }

    /** Without a worker: a slice in each frame, one race of the page at a time. */
    slowly() {
      this.run = engine().race(this.asked, images(this.race.task));
      shared.alone.push(this);
    }

    slice() {
      if (shared.alone[0] !== this) return;
      const until = performance.now() + SLICE, records = [];
      let next = { done: false };
      while (!next.done && performance.now() < until) {
        next = this.run.next();
        if (next.value) records.push(next.value);
      }
      shared.alone.push(shared.alone.shift()); // the next one's turn
      if (next.done) this.leave();
      this.receive(records);
    }

    leave() {
      shared.alone = shared.alone.filter((one) => one !== this);
      this.run = null;
    }

    receive(records) {
      for (const record of records) {
        if (record.frame) this.frames[record.step] = record.frame;
        if (record.scores) this.marks.push(record);
        this.records.push(record);
      }
    }

    stop() {
      cancelAnimationFrame(this.frame);
      this.leave();
      if (this.listen) shared.helper?.removeEventListener("message", this.listen);
      if (this.job) shared.helper?.postMessage({ stop: this.job });
      this.job = this.listen = null;
    }

    hold(on) {
      this.held = on;
      this.$(".pause").textContent = on ? "Go on" : "Pause";
      if (!on) this.play();
    }

    hurry() {
      this.hurried = true;
      this.hold(false);
    }

    /** Go on from where it was. */
    play() {
      cancelAnimationFrame(this.frame);
      if (!this.job || this.held || document.hidden) return;
      this.last = performance.now();
      this.frame = requestAnimationFrame((now) => this.tick(now));
    }

    /** A frame: show what was computed, at a pace that one can follow. A long pause counts little. */
    tick(now) {
      if (this.run) this.slice();
      const { steps } = this.race, gone = this.hurried ? Infinity : max(0, min(now - this.last, AWAY));
      this.last = now;
      this.playhead = min(this.playhead + (gone / TrainLab.length) * steps, this.records.length - 1);
      const quarter = steps / 4, reached = max(0, this.playhead);
      const at = Math.floor(still() ? Math.floor(reached / quarter) * quarter : reached);
      if (this.records.length && at > this.at && (at === steps || now - this.shownAt > 30)) {
        this.shownAt = now;
        this.show(at);
      }
      if (this.at === steps) this.finish();
      else this.frame = requestAnimationFrame((next) => this.tick(next));
    }

    // ---- pictures

    /** Least, middle and most of the networks' losses, each the mean over its last five batches. */
    band(k, step) {
      const from = max(0, step - SMOOTH + 1), count = step - from + 1;
      const means = Array.from({ length: this.replicas }, (_, r) => {
        let sum = 0;
        for (let s = from; s <= step; s++) sum += this.records[s].losses[k][r];
        return sum / count;
      });
      return [0, 0.5, 1].map((p) => quantile(means, p));
    }

    show(at) {
      this.at = at;
      this.drawn++;
      for (const k of LANES) for (let s = this.bands[k].length; s <= at; s++) this.bands[k].push(this.band(k, s));
      this.current = this.frames[at === this.race.steps ? at : at - (at % EVERY)] ?? this.current;
      const { scores } = this.marks.findLast(({ step }) => step <= at);
      this.scores = scores.map((of) => quantile(of.map((score) => score || 0), 0.5));
      for (const k of LANES) this.lane(k, ".score b").textContent = percent(this.scores[k]);
      this.showFrame();
      this.curves();
      const scrub = this.$(".scrub");
      Object.assign(scrub, { max: this.race.steps, value: at });
      this.$("output").textContent = `${at} of ${this.race.steps}`;
      scrub.setAttribute("aria-valuetext", `${at}: A ${percent(this.scores[0])}, B ${percent(this.scores[1])}`);
    }

    /** How many networks of a lane have diverged by then. */
    lost(k, at) {
      return this.records[at].losses[k].filter((loss) => loss === Infinity).length;
    }

    showFrame() {
      if (!this.current) return;
      const { shown, truth } = images(this.race.task), says = this.race.task === "eights" ? ["no", "8"] : null;
      for (const k of LANES) {
        const { answers, change, gradient } = this.current[k];
        this.all(`[data-lane="${k}"] .reads b`).forEach((node, i) => {
          const answer = answers[i], right = says ? +(truth[shown[i]] === 8) : truth[shown[i]];
          node.textContent = answer === undefined ? "–" : says ? says[answer] : answer;
          node.className = answer === right ? "right" : "wrong";
        });
        this.paint(k, change);
        this.bars(k, gradient);
      }
    }

    /** Eight images side by side, in two rows where there is little room. What changed by less than 0.04 stays pale. */
    paint(k, change) {
      const canvas = this.lane(k, ".units"), room = canvas.parentElement.clientWidth, columns = room >= 300 ? 8 : 4;
      const width = columns * 9 - 1, height = (UNITS / columns) * 9 - 1, zoom = max(1, Math.floor(room / width));
      if (canvas.width !== width) Object.assign(canvas, { width, height });
      canvas.style.cssText = `width: ${width * zoom}px; height: ${height * zoom}px`;
      const context = canvas.getContext("2d"), picture = context.createImageData(width, height), words = new Uint32Array(picture.data.buffer);
      const scale = change.reduce((most, value) => (Number.isFinite(value) ? max(most, 0.75 * Math.abs(value)) : most), 0.04);
      change.forEach((value, i) => {
        const unit = i >> 6, x = (unit % columns) * 9 + (i % 8), y = ((unit / columns) | 0) * 9 + ((i & 63) >> 3);
        words[y * width + x] = this.ramp[max(0, min(255, round(127.5 * (1 + (value || 0) / scale))))];
      });
      context.putImageData(picture, 0, 0);
    }

    /** Gradients by layer on a log scale from 1e-8 to 3. */
    bars(k, gradient) {
      const width = 100 / (this.race.specs[0].sizes.length - 1), share = (g) => max(0, min(1, (log10(g) + 8) / 8.5));
      const bar = (g, l) => {
        const height = g > 0 ? 1.5 + 37 * share(g) : 0;
        return `<rect x="${(l + 0.1) * width}" width="${0.8 * width}" y="${39 - height}" height="${height}"/>`;
      };
      const line = `<path d="M0 39.5H100" vector-effect="non-scaling-stroke"/>`;
      this.lane(k, ".bars").innerHTML = line + Array.from(gradient ?? [], bar).join("");
    }

    /** The eight digits of a lane. */
    digits(k) {
      const { shown, truth, ink } = images(this.race.task), box = this.lane(k, ".reads"), [paper, span] = this.theme === "dark" ? [30, 215] : [250, -225];
      if (box.ariaLabel === UNSEEN) box.ariaLabel = `Eight new digits: ${listed(shown.map((image) => truth[image]))}.`;
      box.querySelectorAll("canvas").forEach((canvas, i) => {
        const context = canvas.getContext("2d"), picture = context.createImageData(8, 8);
        for (let j = 0; j < 64; j++) picture.data.set([...Array(3).fill(paper + span * ink(shown[i], j)), 255], 4 * j);
        context.putImageData(picture, 0, 0);
      });
    }

    /** All pictures as before a race. */
    blank() {
      for (const k of LANES) {
        this.lane(k, ".score b").textContent = "–";
        this.lane(k, ".units").ariaLabel = "Eight hidden units: nothing written yet.";
        this.lane(k, ".bars").ariaLabel = "Gradient by layer: no race yet.";
        this.lane(k, ".reads").ariaLabel = UNSEEN;
      }
      for (const node of this.all(".reads b")) Object.assign(node, { textContent: "·", className: "" });
      this.$(".chart").ariaLabel = "Loss by step: no race yet.";
      this.redraw();
    }

    /** Axes, and the curves as far as the race has come. */
    curves() {
      const chart = this.$(".chart"), box = chart.getBoundingClientRect(), W = max(200, round(box.width)), H = max(80, round(box.height));
      const { steps, specs } = this.race, classes = specs[0].sizes.at(-1), { at, bands } = this;
      const first = max(...LANES.map((k) => bands[k][0]?.[1] ?? 0)), top = classes === 2 ? 0.8 : max(3, min(6, Math.ceil(1.1 * first)));
      const left = 30, right = W - 26, bottom = H - 20;
      const x = (step) => +(left + (step / steps) * (right - left)).toFixed(1), y = (loss) => +(bottom - (min(loss, top) / top) * (bottom - 22)).toFixed(1);
      const lost = LANES.map((k) => (at < 0 ? 0 : this.lost(k, at))), gone = LANES.filter((k) => lost[k]);
      const note = gone.map((k) => `; ${LETTERS[k]}: ${lost[k]} of ${this.replicas} diverged`).join("");
      let out = `<text class="note" x="0" y="9">Loss: lower is better${note}</text>`;
      for (let loss = 0; loss <= top + 1e-9; loss += classes === 2 ? 0.2 : 1) {
        out += `<path class="grid" d="M${left} ${y(loss)}H${right}"/><text class="end" x="${left - 6}" y="${y(loss) + 4}">${+loss.toFixed(1)}</text>`;
      }
      const apart = steps <= 30 ? 5 : steps <= 60 ? 10 : steps <= 100 ? 20 : steps <= 120 ? 40 : steps <= 200 ? 50 : 100;
      for (let step = 0; step <= steps; step += apart) {
        out += `<text class="middle" x="${x(step)}" y="${H - 5}">${step}${step + apart > steps ? " steps" : ""}</text>`;
      }
      const guess = y(Math.log(classes));
      out += `<path class="guess" d="M${left} ${guess}H${right}"/><text class="end" x="${right - 4}" y="${guess - 5}">pure guessing</text>`;
      if (at >= 0) {
        const tags = LANES.map((k) => y(bands[k][at][1])), near = 6.5 - Math.abs(tags[0] - tags[1]) / 2, up = tags[0] <= tags[1] ? 0 : 1;
        for (const k of LANES) {
          const path = (which) => bands[k].slice(0, at + 1).map((band, step) => `${x(step)} ${y(band[which])}`), name = "ab"[k];
          out += `<path class="spread ${name}" d="M${[...path(2), ...path(0).reverse()].join("L")}z"/><path class="curve ${name}" d="M${path(1).join("L")}"/>`;
          const to = tags[k] + 5 + (near > 0 ? (k === up ? -near : near) : 0);
          out += `<text class="tag ${name}" x="${min(x(at) + 7, W - 12)}" y="${to}">${LETTERS[k]}</text>`;
        }
      }
      chart.setAttribute("viewBox", `0 0 ${W} ${H}`);
      chart.innerHTML = out;
    }

    retheme() {
      const theme = isDark() ? "dark" : "light";
      if (theme === this.theme) return;
      this.theme = theme;
      this.ramp = colors(theme);
      this.$(".race").classList.toggle("dark", theme === "dark");
      this.redraw();
    }

    redraw() {
      if (!this.ramp) return;
      for (const k of LANES) {
        if (this.awake) this.digits(k);
        if (this.current) continue;
        this.paint(k, new Float32Array(UNITS * 64));
        this.bars(k, null);
      }
      this.showFrame();
      this.curves();
    }

    // ---- the end

    finish() {
      const { race: p, choice, replicas, frames, at } = this, { scores, off } = this.records.at(-1), layers = p.specs[0].sizes.length - 1;
      const { winner, votes } = engine().verdict(scores), hit = winner === choice;
      const sizes = LANES.map((k) => {
        const { signal, gradient } = frames[0][k];
        return layers > 3 && signal && gradient?.at(-1) > 0 ? [signal[layers - 1] / signal[0], gradient[0] / gradient.at(-1)] : null;
      });
      const found = { choice, winner, votes, replicas, sizes, scores: this.scores.map(percent), diverged: LANES.map((k) => this.lost(k, at)) };
      found.off = LANES.map((k) => (p.specs[k].phi === "relu" ? off[k] : 0));
      const words = judgement(p, found);
      this.stop();
      this.finished = true;
      this.$(".result").classList.add(hit ? "hit" : "miss");
      this.$(".verdict").textContent = words;
      this.$(".why").innerHTML = `${set(reasons(p, found))} `;
      if (p.link) this.$(".why").append(this.chapter(p));
      this.offer("end");
      this.describe();
      this.say(words);
      this.result = { ahead: winner === "even" ? "even" : p.lanes["ab".indexOf(winner)].name, right: hit, draws: replicas, votes };
      this.result.scores = Object.fromEntries(LANES.map((k) => [p.lanes[k].name, +this.scores[k].toFixed(3)]));
      this.tell("train-lab-end", this.result);
    }

    /** Where the reason is shown: a link, where the chapters are pages. */
    chapter({ link, chapter }) {
      const [page, place] = link.split("#"), here = location.pathname.endsWith(`/${page}`);
      const node = document.createElement(this.hasAttribute("unlinked") ? "span" : "a");
      if (node.localName === "a") node.href = here && place ? `#${place}` : link;
      node.textContent = here ? "Why: in this chapter" : `Why: Chapter ${chapter}`;
      return node;
    }

    /** Say in words what each picture shows at the end. */
    describe() {
      const { bands, current, race: p, replicas } = this, { shown, truth } = images(p.task), says = p.task === "eights" ? ["no 8", "8"] : null;
      const by = LANES.map((k) => `${LETTERS[k]} from ${bands[k][0][1].toFixed(2)} to ${bands[k].at(-1)[1].toFixed(2)}`);
      this.$(".chart").ariaLabel = `Loss by step, medians of ${replicas}: ${listed(by)}.`;
      for (const k of LANES) {
        const { answers, change, gradient } = current[k], read = (i) => (says ? says[answers[i]] : answers[i]) ?? "nothing";
        const copies = change.every((value, i) => value === change[i % 64]), blank = change.every((value) => value === 0);
        this.lane(k, ".reads").ariaLabel = `Eight new digits: ${listed(shown.map((image, i) => `${truth[image]} read as ${read(i)}`))}.`;
        const wrote = blank ? "nothing" : copies ? "the same in all" : "something different in each";
        this.lane(k, ".units").ariaLabel = `What training wrote into eight hidden units: ${wrote}.`;
        const sizes = gradient && `layer 1 ${rough(gradient[0])}, layer ${gradient.length} ${rough(gradient.at(-1))}`;
        this.lane(k, ".bars").ariaLabel = `Gradient at the last step: ${sizes ?? "not finite"}.`;
      }
    }

    say(words) {
      this.$(".sr").textContent = words;
    }

    tell(name, detail) {
      this.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
    }
  }
  customElements.define("train-lab", TrainLab);
}

if (typeof document !== "undefined") {
  if (!customElements.get("train-lab")) trainElement(document.currentScript?.src);
} else if (typeof importScripts === "function") trainWorker(trainEngine());

// ---------------------------------------------------------------------------------------- the widget, in Jupyter

function render({ model, el }) {
  const race = document.createElement("train-lab");
  race.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes the arrow keys
  race.setAttribute("presets", model.get("presets").join(" "));
  race.setAttribute("seed", model.get("seed"));
  race.setAttribute("unlinked", ""); // the chapters are not pages there
  const pull = () => {
    const [preset, seed] = [model.get("preset"), model.get("seed")];
    if (preset === race.name && seed === race.seed) return;
    race.seed = seed;
    race.choose(preset);
  };
  const push = (values) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
  };
  el.append(race);
  pull();
  for (const name of ["preset", "seed"]) model.on(`change:${name}`, pull);
  race.addEventListener("train-lab-change", ({ detail }) => push({ bet: "", result: {}, ...detail }));
  race.addEventListener("train-lab-end", ({ detail }) => push({ result: detail }));
  return () => ["preset", "seed"].forEach((name) => model.off(`change:${name}`, pull));
}

export default { render };
export { trainEngine, trainPresets, trainWorker };
