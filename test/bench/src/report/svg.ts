/** A picture: what stands above it, and its elements. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly title: string;
  readonly note: string;
  readonly body: readonly string[];
}

/** Colors for a light and for a dark page. */
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-size: 17px; font-weight: 600; } .group { font-weight: 600; } .quiet { fill: #57606a; font-size: 12px; }
  .page { fill: #ffffff; } .ours { fill: #0969da; } .peer { fill: #afb8c1; } .missed { fill: #bc4c00; }
  .base { stroke: #24292f; } .grid { stroke: #eaeef2; }
  .line { fill: none; stroke-width: 2.5; } .line.ours { stroke: #0969da; fill: none; } .line.peer { stroke: #bc4c00; fill: none; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .quiet { fill: #9198a1; }
    .page { fill: #0d1117; } .ours { fill: #4493f8; } .peer { fill: #59636e; } .missed { fill: #f0883e; }
    .base { stroke: #e6edf3; } .grid { stroke: #262c36; }
    .line.ours { stroke: #4493f8; } .line.peer { stroke: #f0883e; }
  }
`;

export function svgOf({ width, height, title, note, body }: Picture): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title">`,
    `<style>${STYLE}</style>`,
    `<rect class="page" width="${width}" height="${height}"/>`,
    `<text id="title" class="title" x="20" y="32">${escape(title)}</text>`,
    `<text class="quiet" x="20" y="52">${escape(note)}</text>`,
    ...body,
    '</svg>\n',
  ].join('\n');
}

export function escape(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

export function roundedPixels(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}
