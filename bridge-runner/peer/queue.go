// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"slices"
	"sync"
)

// maxQueue is the largest number of messages in a queue that no later message replaces.
const maxQueue = 32

// queue has the messages of a connection that wait to be sent, in order.
type queue struct {
	// mu guards the fields below. No other lock is taken while it is held.
	mu      sync.Mutex
	changed sync.Cond
	waiting []Message
	// lasting is the number of waiting messages that no later message replaces.
	lasting int
	// ends is true after the last message is queued. No message is added then.
	ends bool
	// closed is true if no message is sent any more.
	closed bool
}

// push adds a message. It removes a waiting message that the new one replaces: its place behind the
// others shows the order in which the sender has changed its state. push reports false if the message
// is not added.
func (q *queue) push(m Message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ends || q.closed {
		return false
	}
	if replaces(m, m) {
		q.waiting = slices.DeleteFunc(q.waiting, func(earlier Message) bool { return replaces(m, earlier) })
	} else {
		if q.lasting == maxQueue {
			return false
		}
		q.lasting++
	}
	q.addLocked(m)
	return true
}

// last adds the last message.
func (q *queue) last(m Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ends && !q.closed {
		q.ends = true
		q.addLocked(m)
	}
}

func (q *queue) addLocked(m Message) {
	q.waiting = append(q.waiting, m)
	q.changed.Signal()
}

// take waits for messages and removes all. It reports false if the queue is closed.
func (q *queue) take() ([]Message, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.changed.Wait()
	}
	taken := q.waiting
	q.waiting, q.lasting = nil, 0
	return taken, !q.closed
}

// close drops the messages.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.waiting = true, nil
	q.changed.Signal()
}
