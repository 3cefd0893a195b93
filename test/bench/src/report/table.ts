/** Rows of text under headings; the first column is aligned left, the others right. */
export interface Table {
  readonly headings: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** For a terminal: columns by spaces. */
export function plainTable(table: Table): string {
  const widths = widthsOf(table);
  const rule = widths.map((width) => '─'.repeat(width));
  return [table.headings, rule, ...table.rows]
    .map((row) => alignRow(row, widths).join('  ').trimEnd())
    .join('\n');
}

/** The same in Markdown. */
export function markdownTable(table: Table): string {
  const widths = widthsOf(table).map((width) => Math.max(width, 3));
  const rule = widths.map((width, column) =>
    column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  const lines = [alignRow(table.headings, widths), rule, ...table.rows.map((row) => alignRow(row, widths))];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function widthsOf({ headings, rows }: Table): number[] {
  return headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
}

function alignRow(row: readonly string[], widths: readonly number[]): string[] {
  return widths.map((width, column) => {
    const cell = row[column] ?? '';
    return column === 0 ? cell.padEnd(width) : cell.padStart(width);
  });
}
