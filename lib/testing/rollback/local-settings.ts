import type { Command, Control, DriverConnection } from '../../engine/index.js';

/**
 * What puts back the settings that travel in `control`: at the end of a savepoint the server keeps what a
 * transaction of the application would have forgotten. Undefined where there are none.
 */
export async function savedSettings(
  session: DriverConnection,
  control: readonly Control[],
): Promise<Command | undefined> {
  const pairs = control
    .filter(({ text }) => text.startsWith('SELECT set_config('))
    .flatMap(({ values }) => values ?? []);
  const names = pairs.filter((_, index) => index % 2 === 0);
  if (names.length === 0) return undefined;
  const questions = names.map((_, index) => `current_setting($${index + 1}, TRUE) AS s${index}`);
  const { rows } = await session.execute([], {
    text: `SELECT ${questions.join(', ')}`,
    values: names,
    prepare: false,
  });
  const before: readonly unknown[] = Object.values(rows[0] ?? {});
  const calls = names.map((_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, TRUE)`);
  return {
    text: `SELECT ${calls.join(', ')}`,
    // A setting of one's own that was never set is empty once it was.
    values: names.flatMap((name, index) => [name, before[index] ?? '']),
    prepare: false,
  };
}
