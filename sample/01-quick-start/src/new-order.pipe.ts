import { BadRequestException, Injectable, type PipeTransform } from '@nestjs/common';

export interface NewOrder {
  readonly accountId: number;
  readonly lines: readonly { readonly productId: number; readonly quantity: number }[];
  /** The supplier who is asked first does not answer. */
  readonly supplierDown: boolean;
  /** Something breaks when all is reserved and paid. */
  readonly failAfterReserving: boolean;
}

const MOST_LINES = 20;
const MOST_PIECES = 1_000;
const LARGEST_ID = 2_147_483_647;

/** Turns a request's body into an order, or answers 400 with what is wrong. */
@Injectable()
export class NewOrderPipe implements PipeTransform<unknown, NewOrder> {
  transform(body: unknown): NewOrder {
    const { accountId, lines, supplierDown, failAfterReserving } = object(body, 'The body');
    return {
      accountId: integer(accountId, 'accountId', LARGEST_ID),
      lines: parseLines(lines),
      supplierDown: flag(supplierDown, 'supplierDown'),
      failAfterReserving: flag(failAfterReserving, 'failAfterReserving'),
    };
  }
}

function parseLines(value: unknown): NewOrder['lines'] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MOST_LINES)
    throw new BadRequestException(`lines must be a list of 1 to ${MOST_LINES} lines.`);
  const lines = value.map((line: unknown, index) => {
    const { productId, quantity } = object(line, `lines[${index}]`);
    return {
      productId: integer(productId, `lines[${index}].productId`, LARGEST_ID),
      quantity: integer(quantity, `lines[${index}].quantity`, MOST_PIECES),
    };
  });
  const twice = lines.find(({ productId }, index) =>
    lines.slice(0, index).some((line) => line.productId === productId),
  );
  if (twice !== undefined)
    throw new BadRequestException(`product ${twice.productId} is in lines twice: add the quantities up.`);
  return lines;
}

function object(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new BadRequestException(`${name} must be a JSON object.`);
  return value as Readonly<Record<string, unknown>>;
}

function integer(value: unknown, name: string, largest: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > largest)
    throw new BadRequestException(`${name} must be a whole number from 1 to ${largest}.`);
  return value;
}

function flag(value: unknown, name: string): boolean {
  if (value !== undefined && typeof value !== 'boolean')
    throw new BadRequestException(`${name} must be true or false.`);
  return value ?? false;
}
