// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

const (
	// minRequestID is the lowest packet identifier of a SUBSCRIBE or UNSUBSCRIBE. Messages have
	// lower identifiers.
	minRequestID = 65280
	// maxRequestID is the highest packet identifier.
	maxRequestID = 65535
	// maxFilters is the largest number of filters in one SUBSCRIBE or UNSUBSCRIBE. AWS IoT Core
	// closes the connection at more than 8, Azure Event Grid at more than 10.
	maxFilters = 8
)

// request is a SUBSCRIBE or an UNSUBSCRIBE.
type request struct {
	kind    packet.Type // SUBSCRIBE or UNSUBSCRIBE
	id      uint16
	changes []change
	// wait is the wait for the answer. It is nil if the caller has stopped waiting: then the answer
	// only makes the packet identifier free.
	wait *requestWait
}

// requestWait is a wait for the answers to requests. State.mu guards it until answered is closed or
// the wait is abandoned.
type requestWait struct {
	// requests are all requests of the wait, in the order in which they were written.
	requests []*request
	// unanswered is the number of requests without an answer, and answered is closed when it is 0.
	unanswered int
	answered   chan struct{}
	// refused are the filters that the server has refused.
	refused []RefusedFilter
	// timeout is the kind of the error if the server does not answer.
	timeout Kind
}

// makeRequests makes the packets of a kind. A packet has one Subscription Identifier, at most
// maxFilters filters, and no more bytes than the server accepts ([MQTT-3.2.2-15]). tooLarge are the
// filters for which no packet is small enough.
func (s *Session) makeRequests(kind packet.Type, changes []change) (all []*request, tooLarge []string) {
	for _, c := range changes {
		if n := len(all); n > 0 && s.extend(all[n-1], c) {
			continue
		}
		one := &request{kind: kind, changes: []change{c}}
		if !s.acceptsRequest(one) {
			tooLarge = append(tooLarge, c.Filter)
			continue
		}
		all = append(all, one)
	}
	return all, tooLarge
}

// extend adds a change to a packet. It returns false if the packet cannot have it.
func (s *Session) extend(r *request, c change) bool {
	n := len(r.changes)
	if n == maxFilters || r.changes[0].ID != c.ID {
		return false
	}
	r.changes = append(r.changes, c)
	if !s.acceptsRequest(r) {
		r.changes = r.changes[:n]
		return false
	}
	return true
}

func (s *Session) acceptsRequest(r *request) bool {
	limit := s.server.MaximumPacketSize
	return limit == 0 || int64(len(r.append(nil, s.version))) <= int64(limit)
}

// append appends the packet to dst.
func (r *request) append(dst []byte, v packet.Version) []byte {
	if r.kind == packet.UNSUBSCRIBE {
		filters := make([]string, len(r.changes))
		for i := range r.changes {
			filters[i] = r.changes[i].Filter
		}
		return packet.AppendUnsubscribe(dst, v, r.id, filters)
	}
	p := packet.Subscribe{ID: r.id, SubscriptionID: r.changes[0].ID}
	for i := range r.changes {
		c := &r.changes[i]
		p.Subscriptions = append(p.Subscriptions, packet.Subscription{
			Filter: c.Filter,
			QoS:    c.QoS,
			// These are options of MQTT 5. The server does not send the bridge's own
			// messages back, and keeps the retain flags of messages.
			NoLocal:           true,
			RetainAsPublished: true,
			RetainHandling:    c.sentRetainHandling,
		})
	}
	return packet.AppendSubscribe(dst, v, &p)
}

// sendRequests sends the requests, or the first ones of them if there are not enough packet
// identifiers for all. Until the answer, it is uncertain whether the server has the subscriptions.
func (s *Session) sendRequests(all []*request) *requestWait {
	w := &requestWait{answered: make(chan struct{}), timeout: SubscribeTimeout}
	if all[0].kind == packet.UNSUBSCRIBE {
		w.timeout = UnsubscribeTimeout
	}
	s.state.mu.Lock()
	for _, r := range all {
		if r.id = s.freeRequestIDLocked(); r.id == 0 {
			break
		}
		s.requests[r.id], r.wait = r, w
		w.requests = append(w.requests, r)
		w.unanswered++
		if !s.writableLocked() {
			continue // the session ends, and so does the wait
		}
		for _, c := range r.changes {
			s.state.subscriptions.doubt(c.Subscription)
		}
		s.writeLocked(func(b []byte) []byte { return r.append(b, s.version) })
	}
	s.state.mu.Unlock()
	s.flusher.Flush()
	return w
}

// freeRequestIDLocked returns a packet identifier that no request without an answer has
// ([MQTT-2.3.1-2]; of 5 [MQTT-2.2.1-3]), or 0 if there is none.
func (s *Session) freeRequestIDLocked() uint16 {
	for id := minRequestID; id <= maxRequestID; id++ {
		if s.requests[uint16(id)] == nil {
			return uint16(id)
		}
	}
	return 0
}

// abandon ends a wait. It returns the filters without an answer, in the order in which they were
// sent.
func (s *Session) abandon(w *requestWait) (unanswered []string) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	for _, r := range w.requests {
		if s.requests[r.id] != r {
			continue
		}
		r.wait = nil
		for i := range r.changes {
			unanswered = append(unanswered, r.changes[i].Filter)
		}
	}
	return unanswered
}

// handleAnswer applies a SUBACK to a SUBSCRIBE, or an UNSUBACK to an UNSUBSCRIBE. It returns false
// if it answers none.
func (s *Session) handleAnswer(to packet.Type, a *packet.Suback) (expected bool) {
	s.state.mu.Lock()
	r := s.requests[a.ID]
	if r == nil || r.kind != to {
		s.state.mu.Unlock()
		return false
	}
	if to == packet.SUBSCRIBE && len(a.Codes) != len(r.changes) { // [MQTT-3.8.4-5]; of 5 [MQTT-3.8.4-6]
		s.state.mu.Unlock()
		err := &Error{Kind: SubackMismatch, Requested: len(r.changes), Answered: len(a.Codes)}
		s.endWithDisconnect(packet.CodeProtocolError, err, Ending{ByServer: true})
		return true
	}
	defer s.state.mu.Unlock()
	delete(s.requests, a.ID)
	if r.wait != nil {
		s.applyAnswerLocked(r, a)
	}
	return true
}

// applyAnswerLocked records the server's answer to a request.
func (s *Session) applyAnswerLocked(r *request, a *packet.Suback) {
	w := r.wait
	for i := range r.changes {
		c := &r.changes[i]
		var refused bool
		var code byte
		if r.kind == packet.SUBSCRIBE {
			code = a.Codes[i]
			refused = s.applySubackLocked(c, code)
		} else {
			code = unsubackCode(s.version, a, i)
			refused = s.applyUnsubackLocked(c, code)
		}
		if refused {
			w.refused = append(w.refused, RefusedFilter{c.Filter, code, s.maskSecrets(a.Reason)})
		}
	}
	w.unanswered--
	if w.unanswered == 0 {
		close(w.answered)
	}
}

// applySubackLocked records the server's answer to a subscription (section 3.9.3).
func (s *Session) applySubackLocked(c *change, code byte) (refused bool) {
	if code > 2 { // from 0x80 refusals; the specification does not define the others
		s.state.subscriptions.refuse(c)
		return true
	}
	s.state.subscriptions.grant(c, s.version, code)
	if code < 2 && c.QoS == 2 && s.version == packet.V311 {
		s.state.out.grantedBelowQoS2 = true
	}
	return false
}

// unsubackCode returns the reason code for a filter of an UNSUBSCRIBE. An UNSUBACK of MQTT 3.1.1 has
// none: it cannot refuse (section 3.11).
func unsubackCode(v packet.Version, a *packet.Suback, filter int) byte {
	if v == packet.V5 && filter < len(a.Codes) {
		return a.Codes[filter]
	}
	return 0
}

// applyUnsubackLocked records the server's answer to the end of a subscription. Codes below 0x80
// are success, also 0x11, "no subscription existed" (MQTT 5 section 3.11.3).
func (s *Session) applyUnsubackLocked(c *change, code byte) (refused bool) {
	if code >= codeRefused {
		s.state.subscriptions.refuseEnd(c.Filter)
		return true
	}
	delete(s.state.subscriptions, c.Filter)
	return false
}
