// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// read handles what the server sends until the connection ends.
func (s *Session) read() {
	defer close(s.done)
	defer s.alive.Wait()
	tells := s.conn.socket.onIdle(s.idle)
	for {
		s.alive.Begin(0)
		if err := s.handleAll(); err != nil {
			s.refuse(err.Code, newError(v1alpha1.ReasonProtocolError, err.Error(), err), Ending{ByServer: true})
			return
		}
		s.noteReceived()
		if s.freed {
			s.freed = false
			s.wake()
		}
		if !tells || s.conn.sinceIdle >= readBuffer {
			s.idle()
		}
		if err := s.conn.fill(); err != nil {
			s.lost(err)
			return
		}
		s.now = time.Now()
		s.conn.notePublish(s.now)
	}
}

// idle sends what was made of the packets that have come, when there are no more, or
// many. It reports whether what comes next may wait a little: nobody waits for an answer
// to QoS 0 messages.
func (s *Session) idle() (patient bool) {
	patient = !s.conn.awaited
	s.conn.sinceIdle, s.conn.awaited = 0, false
	s.handler.Idle()
	s.Flush()
	s.alive.Wait()
	return patient
}

// lost ends the session because reading has ended.
func (s *Session) lost(err error) {
	s.state.mu.Lock()
	closing := s.closing
	s.state.mu.Unlock()
	if closing {
		s.once.Do(s.finish)
		return
	}
	if failed := s.conn.socket.failure(); failed != nil {
		err = failed // why the socket has closed the connection
	}
	s.lostBy(err)
}

// lostBy ends the session because of an error of its connection.
func (s *Session) lostBy(err error) {
	s.end(lostError(err), Ending{ByServer: transport.Closed(err)})
}

// handleAll handles the packets that have come whole.
func (s *Session) handleAll() *packet.MalformedError {
	for !s.over() {
		f, ok, err := s.conn.next(s.version)
		if err == nil && ok {
			s.conn.awaited = s.conn.awaited || !f.IsQoS0()
			err = s.handle(f)
		}
		switch {
		case err != nil:
			var malformed *packet.MalformedError // here, since it is on the heap
			if errors.As(err, &malformed) {
				return malformed
			}
			// Not reached while package packet keeps its promise.
			return &packet.MalformedError{Code: packet.CodeProtocolError, Text: err.Error()}
		case !ok:
			return nil
		}
	}
	return nil
}

// over reports whether what comes is of no use any more.
func (s *Session) over() bool {
	select {
	case <-s.gone:
		return true
	default:
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.closing {
		s.conn.from = s.conn.to
	}
	return s.closing
}

func protocolError(code byte, text string) error {
	return &packet.MalformedError{Code: code, Text: text}
}

// handle handles one packet. An error ends the session: the packet's fields cannot be
// found. Other violations of the protocol are reported and otherwise ignored.
func (s *Session) handle(f packet.Frame) error {
	s.came.packet(f.Type)
	switch f.Type {
	case packet.PUBLISH:
		return s.handlePublish(f)
	case packet.PUBACK, packet.PUBREC, packet.PUBREL, packet.PUBCOMP:
		return s.handleAck(f)
	case packet.SUBACK:
		a, err := packet.DecodeSuback(s.version, f)
		if err != nil {
			return err
		}
		if s.suback(a) != nil { // an answer that nobody waits for is harmless
			a.Faults |= packet.FaultUnexpected
		}
		s.report(f, a.Faults, "")
	case packet.PINGRESP:
		var faults packet.Faults
		if f.Size > emptyPacket {
			faults = packet.FaultTrailing
		}
		s.report(f, faults, "")
		if !s.pingresp() {
			s.conn.pongs.Add(1)
		}
	case packet.DISCONNECT:
		if s.version != packet.V5 {
			f.Body = nil // MQTT 3.1.1 has it from clients only
		}
		d := packet.DecodeDisconnect(f.Body)
		s.end(s.disconnectError(d), Ending{ByServer: true, Code: d.Code})
	case packet.AUTH, packet.CONNACK, packet.UNSUBACK, packet.CONNECT, packet.SUBSCRIBE, packet.UNSUBSCRIBE, packet.PINGREQ:
		s.report(f, packet.FaultUnexpected, "")
	}
	return nil
}

// emptyPacket is the size of a packet that has a fixed header only.
const emptyPacket = 2

func (s *Session) handlePublish(f packet.Frame) error {
	var (
		p   packet.Publish
		err error
	)
	if f.Large {
		p, err = packet.DecodeLargePublish(f.Flags, string(f.Body))
	} else {
		p, err = packet.DecodePublish(s.version, f.Flags, s.conn.text(f))
	}
	if err != nil {
		return err
	}
	if p.TopicAlias != 0 { // [MQTT-3.1.2-27]
		p.Faults |= packet.FaultTopicAlias
		if p.Topic == "" {
			p.Faults |= packet.FaultNoTopic
		}
	}
	s.report(f, p.Faults, p.Topic)
	s.received(&p)
	return nil
}

func (s *Session) handleAck(f packet.Frame) error {
	a, err := packet.DecodeAck(s.version, f)
	if err != nil {
		return err
	}
	if f.Large { // it is usable all the same
		a.Faults |= packet.FaultTooLarge
	}
	s.report(f, a.Faults, "")
	switch {
	case a.ID == 0: // it answers nothing
	case a.Type == packet.PUBREL:
		s.pubrel(a.ID)
	case a.Type == packet.PUBREC:
		s.pubrec(a)
	default:
		s.completed(a)
	}
	return nil
}
