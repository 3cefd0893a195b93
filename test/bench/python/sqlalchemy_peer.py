"""SQLAlchemy's asyncio engine over asyncpg, as its documentation recommends. One JSON line in, one out, for each round."""

import asyncio
import json
import resource
import sys
import time

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

ACCOUNTS = 10_000
STREAM_BATCH = 1_000
select_account = text("SELECT id, name, balance FROM accounts WHERE id = :id")
count_visit = text("UPDATE accounts SET visits = visits + 1 WHERE id = :id")
select_wide = text(
    "SELECT id, rank, total, title, code, price, active, created, score, details FROM wide ORDER BY id"
)
insert_measurement = text(
    "INSERT INTO measurements (id, sensor, label, value) VALUES (:id, :sensor, :label, :value)"
)
select_happenings = text("SELECT id, kind, amount, note FROM happenings")


def account_id(index):
    return 1 + index * 7_919 % ACCOUNTS


def balance_of(identity):
    return identity * 37 % 1_000


def expect(found, wanted):
    if found != wanted:
        raise ValueError(f"the results add up to {found} instead of {wanted}")


class Peer:
    """One job, and how much of it a round does."""

    def __init__(self, order):
        self.order = order
        size = order["connections"]
        self.engine = create_async_engine(order["url"], pool_size=size, max_overflow=0)
        # What SQLAlchemy has for one statement by itself.
        self.autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self.rows = [
            {"id": n + 1, "sensor": n % 50, "label": f"label {n % 100}", "value": n * 0.25}
            for n in range(order["rows"] if order["job"] == "insertMany" else 0)
        ]

    async def call(self, operation, wanted):
        callers, operations = self.order["callers"], self.order["operations"]

        async def caller(first):
            total = 0
            for index in range(first, operations, callers):
                total += await operation(index)
            return total

        found = sum(await asyncio.gather(*(caller(first) for first in range(callers))))
        expect(found, sum(wanted(index) for index in range(operations)))

    async def selectById(self):
        async def select(index):
            async with self.autocommit.connect() as connection:
                result = await connection.execute(select_account, {"id": account_id(index)})
                return result.one().balance

        await self.call(select, lambda index: balance_of(account_id(index)))

    async def selectWide(self):
        async def select(_index):
            async with self.autocommit.connect() as connection:
                return sum(row.id for row in (await connection.execute(select_wide)).all())

        await self.call(select, lambda _index: 500_500)

    async def visit(self):
        async def visit(index):
            identity = {"id": account_id(index)}
            async with self.engine.begin() as connection:
                balance = (await connection.execute(select_account, identity)).one().balance
                await connection.execute(count_visit, identity)
                return balance

        await self.call(visit, lambda index: balance_of(account_id(index)))

    async def nested(self):
        async def inner(connection, index):
            async with connection.begin_nested():
                result = await connection.execute(select_account, {"id": account_id(index)})
                return result.one().balance

        async def outer(index):
            async with self.engine.begin() as connection:
                return await inner(connection, index) + await inner(connection, index + 1)

        await self.call(
            outer, lambda index: balance_of(account_id(index)) + balance_of(account_id(index + 1))
        )

    async def insertMany(self):
        for _ in range(self.order["operations"]):
            async with self.engine.begin() as connection:
                await connection.execute(insert_measurement, self.rows)

    async def stream(self):
        total = 0
        async with self.engine.connect() as connection:
            result = await connection.stream(
                select_happenings, execution_options={"yield_per": STREAM_BATCH}
            )
            # Rows one by one would be an await each.
            async for rows in result.partitions(STREAM_BATCH):
                total += sum(row.id for row in rows)
        expect(total, self.order["rows"] * (self.order["rows"] + 1) // 2)


async def main():
    loop = asyncio.get_running_loop()
    peer = Peer(json.loads(await loop.run_in_executor(None, sys.stdin.readline)))
    job = getattr(peer, peer.order["job"])
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
    print(json.dumps({"ready": True}), flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        try:
            await job()
        except Exception as error:
            print(json.dumps({"error": repr(error)}), flush=True)
            continue
        print(
            json.dumps(
                {
                    "wall": time.perf_counter_ns() - wall,
                    "cpu": time.process_time_ns() - cpu,
                    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024,
                    "idle": idle,
                }
            ),
            flush=True,
        )
    await peer.engine.dispose()


asyncio.run(main())
