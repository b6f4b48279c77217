// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// Unsubscribe removes the subscriptions to the filters (section 3.10), and waits for the
// server's answers. The server may still send messages that it has queued (section 3.10.4). It
// returns the filters that the server refuses to remove. It fails as Subscribe does: if for
// Config.ConnectTimeout the server sends nothing except answers to pings, and accepts no data.
// There may be at most maxSubscribes filters.
func (s *Session) Unsubscribe(ctx context.Context, filters []string) (refused []RefusedFilter, err error) {
	waiting, ids := make(map[uint16]string, len(filters)), make([]uint16, len(filters))
	for i, filter := range filters {
		ids[i] = minSubscribeID + uint16(i)
		waiting[ids[i]] = filter
	}
	s.expectSubacks(ids)
	for i, id := range ids { // one filter each, so that each packet is as small as possible
		s.write(func(b []byte) []byte { return packet.AppendUnsubscribe(b, s.version, id, filters[i:i+1]) })
	}
	s.flusher.Flush()
	silence := newSilentWait(s)
	defer silence.stop()
	for len(waiting) > 0 {
		select {
		case ack := <-s.subacks:
			// An UNSUBACK of MQTT 3.1.1 has no code: it cannot refuse.
			if filter, ok := waiting[ack.ID]; ok && len(ack.Codes) > 0 && ack.Codes[0] >= codeRefused {
				refused = append(refused, RefusedFilter{filter, ack.Codes[0], s.maskSecrets(ack.Reason)})
			}
			delete(waiting, ack.ID)
		case <-s.closedCh:
			if s.err != nil {
				return refused, s.err
			}
			return refused, &Error{Kind: SessionClosed}
		case <-ctx.Done():
			return refused, &Error{Kind: SubscribeCanceled, Err: ctx.Err()}
		case <-silence.tick():
			if silence.expired() {
				return refused, &Error{Kind: UnsubscribeTimeout}
			}
		}
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.subscribed, s.state.lowered = false, nil
	return refused, nil
}

// AwaitsRelease reports whether a QoS 2 message from the server is in the middle of its
// exchange: PUBREC was sent, and PUBREL has not arrived.
func (s *State) AwaitsRelease() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.in.awaitingPubrel) > 0
}
