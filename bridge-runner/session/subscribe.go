// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"slices"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// Subscription is a topic filter and the highest QoS at which the server should send
// matching messages.
type Subscription struct {
	Filter string
	QoS    byte
	// RetainHandling controls when the server sends retained messages (MQTT 5 section
	// 3.8.3.1): 0 always, 1 if the session does not have the subscription yet, 2 never.
	RetainHandling byte
	// ID is the Subscription Identifier (MQTT 5 section 3.8.2.1.2), 0 for none.
	ID uint32
}

const (
	// minSubscribeID is the lowest packet identifier of a SUBSCRIBE. Messages have lower
	// identifiers.
	minSubscribeID = 65280
	// maxSubscribes is the largest number of SUBSCRIBE packets that wait for an answer at a
	// time: each has its own packet identifier.
	maxSubscribes = 65536 - minSubscribeID
	// maxFilters is the largest number of filters in one SUBSCRIBE. AWS IoT Core closes the
	// connection at more than 8, Azure Event Grid at more than 10.
	maxFilters = 8
)

// Subscribe subscribes and waits for the server's answers. It writes all SUBSCRIBE packets
// at once, and the server may answer them in any order, so that it takes one round trip. If
// the server refuses filters, the error names each of them.
//
// Messages may arrive before the answers, and on a slow link they can take long. So
// Subscribe fails only if for Config.ConnectTimeout the server sends nothing except answers
// to pings, and accepts no data.
func (s *Session) Subscribe(ctx context.Context, subscriptions []Subscription) error {
	packets, err := s.makeSubscribes(subscriptions)
	if err != nil {
		return err
	}
	var answered answers
	for chunk := range slices.Chunk(packets, maxSubscribes) {
		if err := s.subscribe(ctx, chunk, &answered); err != nil {
			return err
		}
	}
	if len(answered.refused) > 0 {
		return &Error{Kind: SubscriptionsRefused, Refused: answered.refused}
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.subscribed, s.state.lowered = true, answered.lowered
	return nil
}

// makeSubscribes makes the SUBSCRIBE packets. A packet has one Subscription Identifier, at
// most maxFilters filters, and no more bytes than the server accepts.
func (s *Session) makeSubscribes(subscriptions []Subscription) ([]*packet.Subscribe, error) {
	var all []*packet.Subscribe
	for _, sub := range subscriptions {
		if !s.IdentifiesSubscriptions() {
			sub.ID = 0
		}
		one := packet.Subscription{
			Filter: sub.Filter,
			QoS:    sub.QoS,
			// These are options of MQTT 5. The server does not send the bridge's own
			// messages back, and keeps the retain flags of messages.
			NoLocal:           true,
			RetainAsPublished: true,
			RetainHandling:    sub.RetainHandling,
		}
		if len(all) > 0 {
			last := all[len(all)-1]
			if last.SubscriptionID == sub.ID && len(last.Subscriptions) < maxFilters {
				last.Subscriptions = append(last.Subscriptions, one)
				if s.acceptsSubscribe(last) {
					continue
				}
				last.Subscriptions = last.Subscriptions[:len(last.Subscriptions)-1]
			}
		}
		p := &packet.Subscribe{SubscriptionID: sub.ID, Subscriptions: []packet.Subscription{one}}
		if !s.acceptsSubscribe(p) { // [MQTT-3.2.2-15]
			return nil, &Error{Kind: SubscribeTooLarge, Filters: []string{sub.Filter}, Limit: s.server.MaximumPacketSize}
		}
		all = append(all, p)
	}
	for i := range all {
		all[i].ID = minSubscribeID + uint16(i%maxSubscribes)
	}
	return all, nil
}

func (s *Session) acceptsSubscribe(p *packet.Subscribe) bool {
	limit := s.server.MaximumPacketSize
	return limit == 0 || int64(len(packet.AppendSubscribe(nil, s.version, p))) <= int64(limit)
}

// subscribe sends the packets and waits until each is answered.
func (s *Session) subscribe(ctx context.Context, packets []*packet.Subscribe, answered *answers) error {
	ids := make([]uint16, len(packets))
	for i, p := range packets {
		ids[i] = p.ID
	}
	s.expectSubacks(ids)
	for _, p := range packets {
		s.write(func(b []byte) []byte { return packet.AppendSubscribe(b, s.version, p) })
	}
	s.flusher.Flush()
	silence := newSilentWait(s)
	defer silence.stop()
	waiting := slices.Clone(packets)
	for len(waiting) > 0 {
		var err error
		select {
		case ack := <-s.subacks:
			waiting, err = s.applySuback(waiting, ack, answered)
		case <-s.closedCh:
			waiting, err = s.applyPendingSubacks(waiting, answered)
		case <-ctx.Done():
			err = &Error{Kind: SubscribeCanceled, Err: ctx.Err()}
		case <-silence.tick():
			if !silence.expired() {
				continue
			}
			err = &Error{Kind: SubscribeTimeout}
		}
		if err != nil {
			return subscribingError(waiting, answered, err)
		}
	}
	return nil
}

// expectSubacks records the identifiers of the SUBACKs or UNSUBACKs that are expected.
func (s *Session) expectSubacks(ids []uint16) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.expectedSubacks = make(map[uint16]bool, len(ids))
	for _, id := range ids {
		s.expectedSubacks[id] = true
	}
}

// handleSuback passes a SUBACK or UNSUBACK to the goroutine that waits for it. It returns an error if
// none waits.
func (s *Session) handleSuback(a packet.Suback) error {
	s.state.mu.Lock()
	expected := s.expectedSubacks[a.ID]
	delete(s.expectedSubacks, a.ID)
	s.state.mu.Unlock()
	if !expected {
		return protocolError(packet.CodeProtocolError, "a SUBACK that answers no SUBSCRIBE")
	}
	s.subacks <- a // the channel has room for all expected SUBACKs
	return nil
}

// applyPendingSubacks applies the SUBACKs that arrived before the session ended. If packets
// remain unanswered, the error is the reason for the end.
func (s *Session) applyPendingSubacks(waiting []*packet.Subscribe, answered *answers) (left []*packet.Subscribe, failed error) {
	for {
		select {
		case ack := <-s.subacks:
			var err error
			if waiting, err = s.applySuback(waiting, ack, answered); err != nil {
				return waiting, err
			}
			continue
		default:
		}
		switch {
		case len(waiting) == 0:
			return nil, nil
		case s.err != nil:
			return waiting, s.err
		}
		return waiting, &Error{Kind: SessionClosed}
	}
}

// applySuback applies a SUBACK, and returns the packets that still wait for one.
func (s *Session) applySuback(waiting []*packet.Subscribe, ack packet.Suback, answered *answers) (left []*packet.Subscribe, failed error) {
	at := slices.IndexFunc(waiting, func(p *packet.Subscribe) bool { return p.ID == ack.ID })
	if at < 0 {
		return waiting, nil // it answers an earlier Subscribe, which has failed
	}
	p := waiting[at]
	if len(ack.Codes) != len(p.Subscriptions) { // [MQTT-3.8.4-5]; of 5 [MQTT-3.8.4-6]
		err := &Error{Kind: SubackMismatch, Requested: len(p.Subscriptions), Answered: len(ack.Codes)}
		s.endWithDisconnect(packet.CodeProtocolError, err, Ending{ByServer: true})
		return waiting, err
	}
	for i, sub := range p.Subscriptions {
		switch code := ack.Codes[i]; {
		case code > 2: // from 0x80 refusals; the specification does not define the others
			answered.refused = append(answered.refused, RefusedFilter{sub.Filter, code, s.maskSecrets(ack.Reason)})
		case code < sub.QoS:
			answered.lowered = append(answered.lowered, LoweredFilter{sub.Filter, sub.QoS, code})
			if sub.QoS == 2 && s.version == packet.V311 {
				s.state.recordQoS2NotGranted()
			}
		}
	}
	return slices.Delete(waiting, at, at+1), nil
}

// answers collects the subscriptions that the server has not granted as requested.
type answers struct {
	refused []RefusedFilter
	lowered []LoweredFilter
}

// subscribingError adds to an error the filters that were not granted when it occurred: a
// server that does not allow a filter, or not this number of filters, may close the
// connection instead of answering.
func subscribingError(waiting []*packet.Subscribe, answered *answers, err error) error {
	if len(answered.refused) > 0 { // this error is more specific
		return &Error{Kind: SubscriptionsRefused, Refused: answered.refused}
	}
	failed := &Error{Kind: SubscribingFailed, Err: err}
	for _, p := range waiting {
		for _, sub := range p.Subscriptions {
			failed.Filters = append(failed.Filters, sub.Filter)
		}
	}
	return failed
}
