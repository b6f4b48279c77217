// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import "github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"

// undeliverable returns the cause for which a message with these faults is dropped. It
// returns "" if the message can be forwarded.
func undeliverable(f packet.Faults) string {
	switch {
	case !f.Undeliverable():
		return ""
	case f&packet.FaultTooLarge != 0:
		return DropTooLarge
	case f&packet.FaultPropertyLength != 0:
		return DropMalformed
	}
	return DropInvalidTopic
}

// discardLocked drops a message from which nothing is forwarded. The message is
// acknowledged after the messages that arrived before it. For rules, see [Meter.Unrouted].
func (p *Pipe) discardLocked(o *origin, cause, rules string) {
	p.meter.Dropped(cause)
	switch {
	case o.in.Faults.Undeliverable(): // the session has reported it
	case cause == DropInvalidTopic, cause == DropNoRule && !p.routes.removedFilterMatches(o.in.Topic):
		p.meter.Unrouted(o.in.Topic, cause, rules)
	}
	p.acknowledgeInTurnLocked(o)
}

// acknowledgeInTurnLocked queues a message from which nothing is derived, so that it is
// acknowledged after the messages that arrived before it.
func (p *Pipe) acknowledgeInTurnLocked(o *origin) {
	if o.awaitsAck() {
		o.first = outgoing{origin: o, progress: done}
		p.pushLocked(&o.first)
	}
}
