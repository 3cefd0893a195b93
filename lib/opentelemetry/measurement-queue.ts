import { context, type Attributes, type Context, type Histogram } from '@opentelemetry/api';

/** Measurements that wait at most. */
const MOST = 64;

/**
 * Measurements on their way to their histograms. Many in a row cost a fraction of as many alone, whose code
 * is cold after each wait for the server, and they are not read before the metrics are collected.
 */
export class MeasurementQueue {
  readonly #histograms: Histogram[] = [];
  readonly #values: number[] = [];
  readonly #attributes: Attributes[] = [];
  /** Views of the SDK may take attributes from them. */
  readonly #contexts: Context[] = [];

  /** `milliseconds` are told in seconds, as the semantic conventions want them. */
  add(histogram: Histogram, milliseconds: number, attributes: Attributes): void {
    this.#histograms.push(histogram);
    this.#values.push(milliseconds / 1_000);
    this.#attributes.push(attributes);
    this.#contexts.push(context.active());
    if (this.#values.length >= MOST) this.flush();
  }

  /** To be called before the metrics are collected. */
  flush(): void {
    const histograms = this.#histograms.splice(0);
    const values = this.#values.splice(0);
    const attributes = this.#attributes.splice(0);
    const contexts = this.#contexts.splice(0);
    histograms.forEach((histogram, index) =>
      histogram.record(values[index] ?? 0, attributes[index], contexts[index]),
    );
  }
}
