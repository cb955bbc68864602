//! What people are shown of fairness, as tables of text.

use std::fmt::Write;

use super::seats::Seats;

/// The dump of that name; `None` where there is none.
pub(super) fn of(seats: &Seats, what: &str) -> Option<String> {
    match what {
        "dump_priority_levels" => Some(table(&levels(seats))),
        "dump_queues" => Some(table(&queues(seats))),
        "dump_requests" => Some(table(&requests(seats))),
        _ => None,
    }
}

type Rows = Vec<Vec<String>>;

fn heading(names: &str) -> Vec<String> {
    names.split(' ').map(str::to_owned).collect()
}

fn levels(seats: &Seats) -> Rows {
    let mut rows = vec![heading(
        "PriorityLevelName ActiveQueues IsIdle IsQuiescing WaitingRequests ExecutingRequests DispatchedRequests \
         RejectedRequests TimedoutRequests CancelledRequests",
    )];
    for (name, level) in &seats.levels {
        let active = level.queues.all.iter().filter(|queue| !queue.waiters.is_empty()).count();
        let waiting = level.queues.len();
        let mut row = vec![name.to_string(), active.to_string(), (waiting + level.executing == 0).to_string()];
        row.push(level.quiescing.to_string());
        row.extend([waiting, level.executing].map(|count| count.to_string()));
        row.extend([level.dispatched, level.rejected, level.timed_out, 0].map(|count| count.to_string()));
        rows.push(row);
    }
    rows
}

fn queues(seats: &Seats) -> Rows {
    let mut rows = vec![heading("PriorityLevelName Index PendingRequests SeatsServed")];
    for (name, level) in &seats.levels {
        for (at, queue) in level.queues.all.iter().enumerate() {
            rows.push(vec![
                name.to_string(),
                at.to_string(),
                queue.waiters.len().to_string(),
                queue.served.to_string(),
            ]);
        }
    }
    rows
}

fn requests(seats: &Seats) -> Rows {
    let names = "PriorityLevelName FlowSchemaName QueueIndex RequestIndexInQueue FlowDistingsher InitialSeats";
    let mut rows = vec![heading(names)];
    for (name, level) in &seats.levels {
        for (queue_at, queue) in level.queues.all.iter().enumerate() {
            for (at, waiter) in queue.waiters.iter().enumerate() {
                let ticket = &waiter.ticket;
                rows.push(vec![
                    name.to_string(),
                    ticket.schema.to_string(),
                    queue_at.to_string(),
                    at.to_string(),
                    ticket.flow.clone(),
                    ticket.width.to_string(),
                ]);
            }
        }
    }
    rows
}

/// Columns that are as wide as their widest cell.
fn table(rows: &Rows) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |at: usize| rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        for (at, (cell, width)) in cells {
            if at + 1 == columns {
                out.push_str(cell);
            } else {
                let _ = write!(out, "{:<width$}", format!("{cell},"), width = width + 2);
            }
        }
        out.push('\n');
    }
    out
}
