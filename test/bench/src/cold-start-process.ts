// Loads what its arguments name and tells what that took: nanoseconds, and bytes.
const cpuBefore = process.cpuUsage();
const before = process.hrtime.bigint();
const idle = process.memoryUsage.rss();
for (const name of process.argv.slice(2)) await import(name);
const wall = Number(process.hrtime.bigint() - before);
const { user, system } = process.cpuUsage(cpuBefore);
const peak = process.resourceUsage().maxRSS * 1_024;
process.stdout.write(JSON.stringify({ wall, cpu: (user + system) * 1_000, peak, idle }));
