// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"fmt"
	"slices"
	"time"
)

// api is the API server with the Lease.
type api struct {
	up bool
	// refuses is true if the API server refuses all writes, and answers reads.
	refuses bool
	// missing is true while the Lease does not exist.
	missing bool
	record  Record
	version int
	// created is the number of Leases.
	created int
}

func (w *world) reachesAPI(p *process) bool { return w.api.up && !p.pod.noAPI && !p.pod.lost }

// answerOrFail delivers the answer of a request, or its failure if the network loses the answer.
func (w *world) answerOrFail(p *process, answer, failure Event) {
	w.after(w.delay(), func() {
		if w.reachesAPI(p) {
			p.receive(answer)
			return
		}
		w.after(requestTimeout, func() { p.receive(failure) })
	})
}

func (a *api) read(p *process, r ReadLease) {
	w := p.w
	w.requests++
	w.after(w.delay(), func() {
		if !w.reachesAPI(p) {
			w.after(requestTimeout, func() { p.receive(LeaseUnreadable{}) })
			return
		}
		if a.missing {
			w.answerOrFail(p, LeaseUnreadable{}, LeaseUnreadable{})
			return
		}
		w.answerOrFail(p, LeaseObserved{a.record, r.Asked}, LeaseUnreadable{})
	})
}

func (a *api) write(p *process, action Action) {
	w := p.w
	w.requests++
	failure := LeaseWritten{Result: Unknown}
	w.after(w.delay(), func() {
		if !w.reachesAPI(p) {
			w.after(requestTimeout, func() { p.receive(failure) })
			return
		}
		if a.refuses || a.missing {
			w.answerOrFail(p, failure, failure)
			return
		}
		next, expected := a.record, ""
		switch action := action.(type) {
		case Acquire:
			next.Holder, next.Term, expected = p.id, action.Term, action.Expected.Version
			next.Duration = p.pod.duration
			if action.Term <= a.record.Term && expected == a.record.Version {
				w.violate("%v acquires the Lease with the term %d after %d", p.id, action.Term, a.record.Term)
			}
		case Renew:
			expected = action.Expected.Version
		case Release:
			next.Holder, expected = ID{}, action.Expected.Version
		case Join:
			expected = a.record.Version // the driver repeats it
		}
		if expected != a.record.Version && !w.faulty.invalidAlways {
			w.answerOrFail(p, LeaseWritten{Conflict, a.record}, failure)
			return
		}
		a.set(w, a.changed(p, action, next))
		w.answerOrFail(p, LeaseWritten{Written, a.record}, failure)
	})
}

// changed returns the record after a write: next has the holder and the term.
func (a *api) changed(p *process, action Action, next Record) Record {
	switch action.(type) {
	case Join:
		return next
	case Acquire, Renew:
		next.Members = slices.DeleteFunc(slices.Clone(next.Members), p.m.Gone)
	}
	next.Renewed = p.w.now.String()
	return next
}

// set changes the record, and notifies the watches.
func (a *api) set(w *world, r Record) {
	a.version++
	r.Version = fmt.Sprint(a.version)
	a.record = r
	for _, p := range w.live() {
		p.watch()
	}
}

// watch delivers the present record, in order. A watch that is interrupted begins with the present
// record when the API server answers again, see healAPI.
func (p *process) watch() {
	w, record := p.w, p.w.api.record
	delay := w.delay()
	if w.chance(10) {
		delay = 200 * time.Millisecond
	}
	p.watched = max(p.watched, w.now+delay)
	w.after(p.watched-w.now, func() {
		if w.reachesAPI(p) {
			listed := slices.Contains(record.Members, p.id)
			if p.entered = p.entered || listed; p.entered { // the driver receives no record before
				p.receive(LeaseObserved{Record: record})
			}
			p.input(func() {
				if !listed { // the holder has removed it
					p.enter()
				}
			})
		}
	})
}

// enter begins the watch, and adds the process to the members in the Lease.
func (p *process) enter() {
	p.w.after(p.w.delay(), func() {
		if p.w.pair != nil || p.dead || !p.w.reachesAPI(p) {
			return
		}
		r := p.w.api.record
		if slices.Contains(r.Members, p.id) {
			p.watch()
			return
		}
		if p.w.api.refuses || p.w.api.missing {
			return // see healAPI
		}
		r.Members = slices.DeleteFunc(slices.Clone(r.Members), func(id ID) bool { return id.Pod == p.id.Pod })
		r.Members = append(r.Members, p.id)
		p.w.api.set(p.w, r)
	})
}

// deleteLease is a user who deletes the Lease.
func (w *world) deleteLease() { w.api.missing = true }

// createLease is the operator that creates the Lease again.
func (w *world) createLease() {
	a := &w.api
	if !a.missing || w.pair != nil {
		return
	}
	a.missing = false
	a.created++
	a.set(w, Record{UID: fmt.Sprint("created ", a.created), Duration: duration})
	w.healAPI()
}

// writeHolder is a user who writes another holder into the Lease.
func (w *world) writeHolder() {
	if w.pair == nil && w.api.up && !w.api.missing {
		r := w.api.record
		r.Holder = ID{Pod: "user"}
		w.api.set(w, r)
	}
}

// healAPI begins the watches of all processes that reach the API server again.
func (w *world) healAPI() {
	for _, p := range w.live() {
		p.enter()
	}
}
