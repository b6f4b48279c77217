// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import "github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"

// undeliverable returns the cause for which a message that came with these faults is
// dropped, "" if it can be forwarded.
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

// discard drops a message of which nothing is forwarded. It is acknowledged in its turn,
// behind those that came before it.
func (p *Pipe) discard(o *origin, cause string) {
	p.meter.Dropped(cause)
	if !o.in.Faults.Undeliverable() && (cause == DropNoRule || cause == DropInvalidTopic) { // faults are reported already
		p.meter.Unrouted(o.in.Topic, cause, p.filters)
	}
	p.acknowledgeInTurn(o)
}

// acknowledgeInTurn has a message of which nothing is made acknowledged behind those that
// came before it.
func (p *Pipe) acknowledgeInTurn(o *origin) {
	if o.waits() {
		o.only = outgoing{origin: o, done: true}
		p.push(&o.only)
	}
}
