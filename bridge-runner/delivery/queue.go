// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

// queue is a first-in, first-out queue with access by index. The zero value is empty.
type queue struct {
	// items is a ring buffer. Its length is a power of two.
	items []*outgoing
	// first is the index of the front item in items.
	first int
	// count is the number of items.
	count int
}

// maxIdleItems is the largest capacity that an empty queue keeps.
const maxIdleItems = 1024

func (q *queue) len() int { return q.count }

// at returns the item at index i. The front item has index 0.
func (q *queue) at(i int) *outgoing {
	return q.items[(q.first+i)&(len(q.items)-1)]
}

func (q *queue) push(m *outgoing) {
	if q.count == len(q.items) {
		grown := make([]*outgoing, max(16, 2*len(q.items)))
		for i := range q.count {
			grown[i] = q.at(i)
		}
		q.items, q.first = grown, 0
	}
	q.items[(q.first+q.count)&(len(q.items)-1)] = m
	q.count++
}

// pop removes the front item and returns it. The queue must not be empty.
func (q *queue) pop() *outgoing {
	m := q.items[q.first]
	q.items[q.first] = nil
	q.first = (q.first + 1) & (len(q.items) - 1)
	q.count--
	if q.count == 0 && len(q.items) > maxIdleItems {
		q.items, q.first = nil, 0
	}
	return m
}
