// What tests/test_train_engine.py asks of the figure that trains, in Node: a function for each question.
// node train_engine.mjs LAB DIGITS QUESTION, with the argument as JSON on stdin; the answer is JSON on stdout.

import { readFileSync } from "node:fs";

const [lab, digits, question] = process.argv.slice(2);
const { trainEngine, trainPresets } = await import(lab);
const { trainDigits } = await import(digits);
const E = trainEngine(), PRESETS = trainPresets(), sets = {};
const data = (task) => (sets[task] ??= E.digits(trainDigits, task));

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const rows = (net, l) => Array.from({ length: net.sizes[l] },
  (_, r) => Array.from(net.W[l].subarray(r * net.widths[l - 1], r * net.widths[l - 1] + net.sizes[l - 1])));
const matrices = (net) => net.sizes.slice(1).map((_, l) => rows(net, l + 1));
const vectors = (net) => net.sizes.slice(1).map((n, l) => Array.from(net.b[l + 1].subarray(0, n)));
const different = (net, l) => new Set(rows(net, l).map(String)).size;

/** Make the network of a lane and train it, as a race does. */
function trained(spec, steps, { seed = 1, replica = 0, task, begun } = {}) {
  const net = new E.Net(spec, seed, replica), { train } = data(task);
  const order = new E.Order(train.y.length, spec.batch, seed, replica), losses = [];
  begun?.(net);
  for (let step = 0; step <= steps; step++) losses.push(net.step(train, order.rows, order.advance(), step === steps));
  return { net, losses };
}

/** Of `count` networks before the first update, what `look` returns. */
const fresh = (spec, count, look, task) =>
  Array.from({ length: count }, (_, replica) => look(trained(spec, 0, { seed: 77, replica, task })));

/** Ratios of neighbors, from layer `first` to layer `last`, in the mean square. */
const ratios = (sizes, first, last) => sizes.slice(first, last).map((size, k) => (sizes[first + k + 1] / size) ** 2);
const signal = (spec, count = 16) => fresh(spec, count, ({ net }) => net.rms(net.h));
const gradient = (spec, count = 16) => fresh(spec, count, ({ net }) => net.rms(net.delta));
const share = (spec, l, test, count = 16) => mean(fresh(spec, count, ({ net }) => mean(Array.from(net.slope[l], test))));
const score = (net, task, only) => net.judge(data(task).test, only).score;
const lanes = (name, measure) => PRESETS[name].specs.map((spec) => measure(spec));

const QUESTIONS = {
  interface: () => ({ engine: Object.keys(E), presets: PRESETS, std: Object.keys(E.STD), phi: Object.keys(E.PHI) }),

  data: (task) => data(task),

  async draws({ init, words, count }) {
    const other = await import(init), next = E.rng(...words);
    const ours = Array.from({ length: count }, () => E.normal(next)), even = E.rng(...words);
    const integers = Array.from({ length: 1000 }, () => even()), theirs = other.rng(...words);
    return {
      integers: integers.every((integer) => integer === theirs()),
      normal: [...other.draw("normal", count, other.rng(...words))].every((value, k) => value === ours[k]),
    };
  },

  weights: (cases) => cases.map(({ scheme, sizes }) => {
    const net = new E.Net({ sizes, phi: "tanh", scheme, batch: 2, optimizer: "sgd" }, 5, 0);
    return { std: E.STD[scheme.name](sizes[0], sizes[1], scheme), values: rows(net, 1).flat() };
  }),

  agreement: (cases) => cases.map(({ spec, order, steps }) => {
    const net = new E.Net(spec, 11, 0), taken = { weights: matrices(net), biases: vectors(net) }, losses = [];
    for (let step = 0; step <= steps; step++) {
      losses.push(net.step(data().train, order, step * spec.batch, step === steps));
    }
    return { ...taken, losses, signal: net.rms(net.h), gradient: net.rms(net.delta), last: matrices(net) };
  }),

  batches({ count, batch, passes }) {
    const of = (replica) => {
      const order = new E.Order(count, batch, 3, replica);
      return Array.from({ length: passes * Math.floor(count / batch) }, () => {
        const from = order.advance();
        return Array.from(order.rows.subarray(from, from + batch));
      });
    };
    return [of(0), of(0), of(1)];
  },

  judged({ spec, only, shown, bias }) {
    const { net } = trained(spec, 20);
    if (bias) net.b[2].fill(bias, 0, net.sizes[2]);
    const judged = net.judge(data().test, only, shown);
    return { weights: matrices(net), biases: vectors(net), ...judged };
  },

  /** A race, and each of its networks trained by itself. */
  raced({ race, task }) {
    const records = [], pieces = [];
    let pause = 0;
    for (const record of E.race(race, data(task))) {
      pause++;
      if (record) { records.push(record); pieces.push(pause); pause = 0; }
    }
    const alone = race.lanes.map((spec) => Array.from({ length: race.replicas }, (_, replica) => {
      const { net, losses } = trained(spec, race.steps, { seed: race.seed, replica, task });
      return { losses, score: net.dead ? null : score(net, task, race.only), updates: net.updates };
    }));
    return { records, pieces, alone };
  },

  poisoned(spec) {
    const { losses } = trained(spec, 3, { begun: (net) => { net.W[1][0] = NaN; } });
    return losses;
  },

  verdicts: (scores) => scores.map((one) => E.verdict(one)),

  refused: (spec) => {
    try { return String(new E.Net(spec, 1, 0)); } catch (error) { return error.message; }
  },

  /** Of each race, the scores of many draws of one pair. */
  effects: ({ names, draws, seed }) => Object.fromEntries(names.map((name) => {
    const { specs, steps, task, find } = PRESETS[name], scores = [];
    for (let draw = 0; draw < draws; draw++) {
      let end;
      const race = { lanes: specs, steps, replicas: 1, seed: seed + draw, only: find, every: Infinity, all: Infinity };
      for (const record of E.race(race, data(task))) end = record ?? end;
      scores.push(end.scores.map(([one]) => one || 0));
    }
    return [name, { scores, replicas: E.replicas(PRESETS[name]) }];
  })),

  // ------------------------------------------------------------------------------- what the sentences of races say

  symmetry: () => lanes("symmetry", (spec) => different(trained(spec, PRESETS.symmetry.steps).net, 1)),
  last: () => [0, 1].map((steps) => different(trained(PRESETS["symmetry-last"].specs[0], steps).net, 1)),

  /** By lane: which matrices have moved after 1, after 2 and after all steps, and whether which biases have. */
  zero: (name) => lanes(name, (spec) => [1, 2, PRESETS[name].steps].map((steps) => {
    let weights, biases;
    const { net } = trained(spec, steps, { begun: (one) => { [weights, biases] = [matrices(one), vectors(one)]; } });
    const moved = (before, now) => now.map((part, l) => String(part) !== String(before[l]));
    return { weights: moved(weights, matrices(net)), biases: moved(biases, vectors(net)) };
  })),
  guesses: () => lanes("zero", (spec) => trained(spec, 0).losses[0]),
  logistic: () => different(trained(PRESETS["zero-logistic"].specs[0], 1).net, 1),

  small: () => ({
    signal: median(signal(PRESETS.small.specs[0]).map((h) => h[5] / h[2])),
    gradient: median(gradient(PRESETS.small.specs[0]).map((d) => d[2] / d[5])),
  }),
  /** Steps until the loss is halved, from smaller and smaller weights. */
  decades: () => [0.1, 0.01, 0.001, 0.0001, 0.00001].map((value) => {
    const spec = { ...PRESETS["small-shallow"].specs[0], scheme: { name: "small_random", value } };
    return median(Array.from({ length: 5 }, (_, replica) =>
      trained(spec, 100, { replica }).losses.findIndex((loss) => loss < Math.log(10) / 2)));
  }),
  late: () => lanes("small-shallow", (spec) => trained(spec, 12).losses.at(-1)),

  chaos: () => lanes("chaos", (spec) => ({
    saturated: share(spec, 5, (slope) => Math.abs(slope) < 0.01),
    growth: median(gradient(spec).map((d) => d[1] / d[9])),
  })),
  order: () => lanes("order", (spec) => [
    median(signal(spec).map((h) => h[10] / h[0])), median(gradient(spec).map((d) => d[1] / d[10])),
  ]),
  xavier: () => lanes("xavier", (spec) => [
    median(signal(spec).map((h) => (h[10] / h[2]) ** (1 / 8))), median(gradient(spec).map((d) => (d[2] / d[10]) ** (1 / 8))),
  ]),
  law: () => lanes("xavier-law", (spec) => [median(signal(spec, 48).map((h) => h[3])), median(gradient(spec, 48).map((d) => d[1]))]),
  he: () => lanes("he", (spec) => [
    mean(signal(spec, 64).flatMap((h) => ratios(h, 1, 17))),
    mean(gradient(spec, 64).flatMap((d) => ratios(d.slice(1).reverse(), 1, 16))),
  ]),
  shallow: () => lanes("he-shallow", (spec) => ({
    outputs: median(signal(spec).map((h) => h[3])), early: trained(spec, 20).losses.slice(-5),
  })),
  linear: () => lanes("default", (spec) => [
    median(signal(spec).map((h) => (h[8] / h[1]) ** (1 / 7))), median(gradient(spec).map((d) => (d[1] / d[8]) ** (1 / 7))),
    median(signal(spec).map((h) => h[9] / h[0])), median(gradient(spec).map((d) => d[1] / d[9])),
  ]),
  selu: () => lanes("selu", (spec) => ({
    signal: median(signal(spec).map((h) => h[20] / h[1])), gradient: median(gradient(spec).map((d) => d[1] / d[20])),
    loss: median(fresh(spec, 16, ({ losses }) => losses[0])),
  })),
  names: () => {
    const [one, other] = lanes("selu-names", (spec) => matrices(trained(spec, 0).net));
    return one.map((matrix, l) => Math.sqrt(mean(matrix.flat().map((w) => w * w)) / mean(other[l].flat().map((w) => w * w))));
  },
  bias: () => {
    const { specs } = PRESETS.bias, first = trained(specs[0], 1, { task: "eights" }).net;
    return {
      starts: specs.map((spec) => mean(fresh(spec, 16, ({ losses }) => losses[0], "eights"))),
      step: Math.abs(first.b[2][1]) / specs[0].lr,
      rare: mean(data("eights").train.y),
      later: specs.map((spec) => median(Array.from({ length: 4 }, (_, replica) =>
        score(trained(spec, 10 * PRESETS.bias.steps, { replica, task: "eights" }).net, "eights", 1)))),
    };
  },
  random: () => {
    const { specs: [own, none] } = PRESETS["bias-random"], grown = { ...own, scheme: { name: "free", gain: 1.855 } };
    return [own, none, grown].map((spec) => [
      median(gradient(spec).map((d) => (d[1] / d[9]) ** (1 / 8))), share(spec, 5, (slope) => slope),
    ]);
  },
  hidden: () => lanes("bias-hidden", (spec) => share(spec, 1, (slope) => slope)),
};

const plain = (key, value) => (ArrayBuffer.isView(value) ? Array.from(value)
  : typeof value === "number" && !Number.isFinite(value) ? { number: String(value) } : value);
const argument = JSON.parse(readFileSync(0, "utf-8") || "null");
process.stdout.write(JSON.stringify(await QUESTIONS[question](argument ?? undefined), plain));
