// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// read handles the server's packets until the connection ends.
func (s *Session) read() {
	defer close(s.done)
	defer s.alive.Wait()
	defer s.flusher.Flush() // the packets that the last handled ones have caused on other sessions
	s.conn.OnIdle(s.idle)
	for {
		s.alive.Begin(0)
		if err := s.handleAll(); err != nil {
			s.endWithDisconnect(err.Code, &Error{Kind: ProtocolViolation, Detail: err.Error(), Err: err}, Ending{ByServer: true})
			return
		}
		s.noteReceived()
		if s.ackedSinceWake {
			s.ackedSinceWake = false
			s.notifyReady()
		}
		if s.conn.bytesSinceIdle >= readBuffer {
			s.idle()
		}
		if err := s.fill(); err != nil {
			s.readFailed(err)
			return
		}
		s.readAt = time.Now()
		s.conn.notePublish(s.readAt)
	}
}

// idle sends the packets that the handled ones have caused, on this and on other sessions, when
// there are no more to read, or when many were read. It reports whether further packets may be
// delayed a little.
func (s *Session) idle() (mayDelay bool) {
	mayDelay = s.mayDelay()
	s.conn.bytesSinceIdle, s.conn.awaited = 0, awaitsNothing
	s.flusher.Flush()
	s.alive.Wait()
	return mayDelay
}

// readFailed ends the session because reading has failed.
func (s *Session) readFailed(err error) {
	s.state.mu.Lock()
	closing := s.closedByCaller
	s.state.mu.Unlock()
	if closing {
		s.endOnce.Do(s.finish)
		return
	}
	if cause := s.conn.WriteError(); cause != nil {
		err = cause // the reason why the connection was closed
	}
	s.connectionFailed(err)
}

// connectionFailed ends the session because of an error of its connection.
func (s *Session) connectionFailed(err error) {
	s.end(connectionLostError(err), Ending{ByServer: transport.Closed(err) || isKind(err, ProtocolViolation)})
}

// handleAll handles the packets that are complete.
func (s *Session) handleAll() *packet.MalformedError {
	for !s.ignoresInput() {
		f, ok, err := s.conn.next(s.version)
		if err == nil && ok {
			s.conn.noteHandled(f)
			err = s.handle(f)
		}
		switch {
		case err != nil:
			var malformed *packet.MalformedError // declared here, because it escapes to the heap
			if errors.As(err, &malformed) {
				return malformed
			}
			// Not reached: package packet returns only MalformedErrors.
			return &packet.MalformedError{Code: packet.CodeProtocolError, Text: err.Error()}
		case !ok:
			return nil
		}
	}
	return nil
}

// ignoresInput reports whether the session ignores further packets. While Close runs, and after the
// end, it discards the received ones: a complete packet has no room to read more.
func (s *Session) ignoresInput() bool {
	ignored := s.closedOrClosing()
	if ignored {
		s.conn.discardUnhandled()
	}
	return ignored
}

func (s *Session) closedOrClosing() bool {
	select {
	case <-s.closedCh:
		return true
	default:
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.closedByCaller
}

func protocolError(code byte, text string) error {
	return &packet.MalformedError{Code: code, Text: text}
}

// handle handles one packet. It returns an error if the packet's fields cannot be located:
// the error ends the session. Other violations of the protocol are reported and otherwise
// ignored.
func (s *Session) handle(f packet.Frame) error {
	s.receiveTimes.notePacket(f.Type)
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
		if !s.handleAnswer(packet.SUBSCRIBE, &a) { // it is harmless
			a.Faults |= packet.FaultUnexpected
		}
		s.report(f, a.Faults, "")
	case packet.UNSUBACK:
		a, err := packet.DecodeSuback(s.version, f)
		if err != nil || !s.handleAnswer(packet.UNSUBSCRIBE, &a) { // as for SUBACK; a malformed packet answers none
			a.Faults |= packet.FaultUnexpected
		}
		s.report(f, a.Faults, "")
	case packet.PINGRESP:
		var faults packet.Faults
		if f.Size > emptyPacket {
			faults = packet.FaultTrailing
		}
		s.report(f, faults, "")
		if !s.handlePingresp() {
			s.conn.pongs.Add(1)
		}
	case packet.DISCONNECT:
		if s.version != packet.V5 {
			f.Body = nil // in MQTT 3.1.1 only clients send it, without a body
		}
		d := packet.DecodeDisconnect(f.Body)
		s.end(s.disconnectError(d), Ending{ByServer: true, Code: d.Code})
	case packet.AUTH, packet.CONNACK, packet.CONNECT, packet.SUBSCRIBE, packet.UNSUBSCRIBE, packet.PINGREQ:
		s.report(f, packet.FaultUnexpected, "")
	}
	return nil
}

// emptyPacket is the size of a packet that has a fixed header only.
const emptyPacket = 2

func (s *Session) handleAck(f packet.Frame) error {
	a, err := packet.DecodeAck(s.version, f)
	if err != nil {
		return err
	}
	if f.Large { // its beginning was kept and suffices
		a.Faults |= packet.FaultTooLarge
	}
	s.report(f, a.Faults, "")
	switch {
	case a.ID == 0: // it acknowledges no message
	case a.Type == packet.PUBREL:
		s.handlePubrel(a.ID)
	case a.Type == packet.PUBREC:
		s.handlePubrec(a)
	default:
		s.handleCompletion(a)
	}
	return nil
}
