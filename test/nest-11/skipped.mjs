/** Says behind a run of Vitest why tests were skipped, and how many. */
export default class Skipped {
  onTestRunEnd(modules) {
    const counts = new Map();
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        const reason = test.result().note ?? 'skipped without a reason';
        counts.set(reason, (counts.get(reason) ?? 0) + 1);
      }
    }
    for (const [reason, count] of counts) console.log(`     Skipped  ${count}: ${reason}`);
  }
}
