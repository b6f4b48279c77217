// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// conn is a connection. The server's lock guards its fields. Only run calls methods without the
// lock.
type conn struct {
	s       *Server
	tcp     *net.TCPConn
	r       *bufio.Reader
	w       *writer
	start   time.Time
	opening []string // first lines of the history
	history []string
	repeats int  // number of consecutive PUBREL and PUBCOMP lines at the end of the history
	closed  bool // the server handles no further packets
	// overtaken is set if another connection has taken the session over, and packets are recorded.
	overtaken bool
	muted     bool // answers are dropped

	version      byte
	connect      *Connect
	connected    time.Time // time of the CONNECT
	number       int
	present      bool
	plan         Plan
	sess         *session
	keepAlive    time.Duration
	disconnected bool // DISCONNECT has arrived

	// State of the packets that the client has sent.

	aliases     map[uint16]string
	inUse       map[uint16]*inbound // identifiers without a final acknowledgement
	subscribing map[uint16]bool     // identifiers of SUBSCRIBEs and UNSUBSCRIBEs without an answer
	releasing   map[uint16]bool     // identifiers of PUBRELs of unknown or stale identifiers without an answer
	releases    int                 // number of PUBRELs that were added to releasing
	firstNew    *Packet             // first message that was sent without DUP
	sawQoS2     bool                // a QoS 2 message has arrived
	resent      int                 // order of the latest message that was sent again
	pubrecs     int                 // number of PUBRECs sent
	lastRelease int                 // pubrecOrder of the latest PUBREL

	// State of the packets that the server has sent.

	resending       []*delivery // deliveries of the session that must be sent again
	awaitingPuback  []*delivery // QoS 1 deliveries without PUBACK, in order
	awaitingPubrec  []*delivery // QoS 2 deliveries without PUBREC, in order
	awaitingPubcomp []*delivery // QoS 2 deliveries without PUBCOMP
	inFlight        int         // number of messages that count against the client's receive maximum
}

func newConn(s *Server, tcp *net.TCPConn) *conn {
	return &conn{
		s: s, tcp: tcp, r: bufio.NewReader(tcp), w: newWriter(tcp), start: time.Now(),
		aliases: map[uint16]string{}, inUse: map[uint16]*inbound{}, subscribing: map[uint16]bool{}, releasing: map[uint16]bool{},
	}
}

const (
	// connectTimeout is the time within which a client must send CONNECT.
	connectTimeout = 20 * time.Second
	// keepAliveSlack is added to the protocol's limit for a packet, for a busy machine.
	keepAliveSlack = 4 * time.Second
)

func (c *conn) run() {
	defer c.end()
	for {
		_ = c.tcp.SetReadDeadline(time.Now().Add(c.readTimeout()))
		p, err := readPacket(c.r, c.version)
		wait, goOn := c.handle(p, err)
		if wait > 0 {
			select {
			case <-time.After(wait):
			case <-c.w.done:
			}
		}
		if !goOn {
			return
		}
	}
}

// readTimeout returns the time within which the next packet must arrive.
func (c *conn) readTimeout() time.Duration {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	switch {
	case c.connect == nil:
		return connectTimeout
	case c.keepAlive == 0:
		return time.Hour
	}
	return c.keepAlive*3/2 + keepAliveSlack
}

// handle processes a packet or a read error. It returns the time for which the caller must not
// read, and whether the caller must continue to read.
func (c *conn) handle(p *Packet, err error) (silence time.Duration, goOn bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.closed {
		if c.overtaken && err == nil {
			c.recordLocked(p)
		}
		return 0, c.overtaken && err == nil
	}
	var broken malformed
	switch {
	case errors.As(err, &broken):
		c.violationLocked("%s", broken.text)
		return 0, false
	case errors.Is(err, os.ErrDeadlineExceeded) && c.connect != nil:
		c.violationLocked("no packet for 1.5 times the keep alive of %v [MQTT-3.1.2-22]", c.keepAlive)
		return 0, false
	case err != nil:
		c.noteLocked("the connection ends: %v", err)
		return 0, false
	}
	c.noteLocked("<- %s", p)
	if c.disconnected {
		c.violationLocked("%s after DISCONNECT [MQTT-3.14.4-1]", names[p.Type])
		return 0, false
	}
	if p.Type == CONNECT && c.connect == nil {
		c.beginLocked(p)
	}
	c.recordLocked(p)
	return c.processLocked(p)
}

func (c *conn) recordLocked(p *Packet) {
	if c.s.cfg.Record != nil && c.connect != nil {
		c.s.cfg.Record(Record{At: time.Now(), Connected: c.connected, Connect: c.connect, Packet: p, Overtaken: c.overtaken})
	}
}

// beginLocked sets the identity and the plan of a connection from its CONNECT.
func (c *conn) beginLocked(p *Packet) {
	c.connect, c.version, c.connected = p.Connect, p.Connect.Version, time.Now()
	c.s.counts[c.connect.ClientID]++
	c.number = c.s.counts[c.connect.ClientID]
	if c.s.cfg.Plan != nil {
		c.plan = c.s.cfg.Plan(c.number, c.connect)
	}
}

func (c *conn) processLocked(p *Packet) (silence time.Duration, goOn bool) {
	var cut *Cut
	if c.plan.Cut != nil {
		cut = c.plan.Cut(p, true)
	}
	if cut != nil && cut.When == BeforeReading {
		if p.Type == PUBLISH && p.QoS == 2 && c.sess != nil {
			c.sess.released[p.ID] = true // a client that drops the message must release it
		}
		c.cutLocked(cut)
		return 0, false
	}
	c.muted = cut != nil && cut.When == BeforeAnswer
	c.receiveLocked(p)
	if cut != nil && !c.closed {
		c.muted = false
		c.cutLocked(cut)
	}
	if c.closed {
		return 0, false
	}
	if c.sess != nil {
		c.pumpLocked()
	}
	if c.plan.Silence != nil {
		if silence = c.plan.Silence(); silence > 0 {
			c.noteLocked("the server is silent for %v", silence)
			c.w.silence(silence)
		}
	}
	return silence, !c.closed
}

func (c *conn) cutLocked(cut *Cut) {
	c.s.cuts.Add(1)
	if cut.Disconnect > 0 && c.version == V5 {
		c.noteLocked("-> DISCONNECT 0x%02x", cut.Disconnect)
		c.w.push(operation{data: encodeDisconnect(cut.Disconnect)})
	}
	c.noteLocked("%s", cut)
	c.closeLocked(cut.Reset)
}

// receiveLocked processes a packet of the client.
func (c *conn) receiveLocked(p *Packet) {
	if p.Type == CONNECT {
		if c.sess != nil {
			c.violationLocked("a second CONNECT [MQTT-3.1.0-2]")
			return
		}
		c.acceptLocked()
		return
	}
	c.sess.confirmed = true
	if most := c.plan.MaximumPacketSize; c.version == V5 && most > 0 && p.Size > int(most) {
		c.violationLocked("%s of %d bytes; the Maximum Packet Size is %d [MQTT-3.2.2-15]", names[p.Type], p.Size, most)
	}
	switch p.Type {
	case PUBLISH:
		c.publishLocked(p)
	case PUBREL:
		c.releaseLocked(p)
	case PUBACK:
		c.pubackLocked(p)
	case PUBREC:
		c.pubrecLocked(p)
	case PUBCOMP:
		c.pubcompLocked(p)
	case SUBSCRIBE, UNSUBSCRIBE:
		c.subscribeLocked(p)
	case PINGREQ:
		c.sendLocked(names[PINGRESP], frame(PINGRESP<<4, nil), nil)
	case DISCONNECT:
		c.disconnectLocked(p)
	}
}

// disconnectLocked detaches the session. The connection reads until its end, because nothing may follow a
// DISCONNECT.
func (c *conn) disconnectLocked(p *Packet) {
	c.disconnected = true
	if p.HasSessionExpiry {
		if c.sess.expiry == 0 && p.SessionExpiry > 0 {
			c.violationLocked("DISCONNECT sets a session expiry that was 0 in CONNECT [MQTT-3.14.2-2]")
			return
		}
		c.sess.expiry = p.SessionExpiry
	}
	c.detachLocked()
}

// sendLocked writes a packet of the server. It calls before immediately before the write.
func (c *conn) sendLocked(name string, data []byte, before func()) {
	c.sendPacketLocked(&Packet{Type: data[0] >> 4}, name, data, before)
}

func (c *conn) sendPacketLocked(p *Packet, name string, data []byte, before func()) {
	if c.closed || c.muted {
		return
	}
	op := operation{data: data, before: before}
	if c.plan.Delay != nil {
		op.delay = c.plan.Delay()
	}
	if c.plan.Cut != nil {
		if cut := c.plan.Cut(p, false); cut != nil && cut.When == InPacket {
			op.data = data[:min(cut.Bytes, len(data)-1)]
			c.noteLocked("-> %s, %d of %d bytes", name, len(op.data), len(data))
			c.w.push(op)
			c.cutLocked(cut)
			return
		}
	}
	c.noteLocked("-> %s", name)
	c.w.push(op)
}

// closeLocked ends the connection after the packets that were sent.
func (c *conn) closeLocked(reset bool) {
	if c.closed {
		return
	}
	c.closed = true
	c.w.end(reset)
	c.detachLocked()
}

// overtakeLocked ends the connection, because another one takes its session over [MQTT-3.1.4-3].
func (c *conn) overtakeLocked() {
	c.noteLocked("another connection takes over the session")
	if c.version == V5 {
		c.w.push(operation{data: encodeDisconnect(0x8E)})
	}
	if c.s.cfg.Record == nil {
		c.closeLocked(false)
		return
	}
	c.closed, c.overtaken = true, true
	c.w.push(operation{closeWrite: true})
	c.detachLocked()
}

// end is called when the connection is no longer read.
func (c *conn) end() {
	c.s.mu.Lock()
	if c.overtaken {
		c.w.end(false)
	}
	c.closeLocked(false)
	c.s.mu.Unlock()
	<-c.w.done
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	delete(c.s.conns, c)
	c.s.idle.Broadcast()
}

const (
	// openingLines is the number of lines at the start of a connection that are always shown:
	// CONNECT and CONNACK.
	openingLines = 2
	// shownPackets is the number of lines shown of a connection, and shownBefore of the previous
	// connection.
	shownPackets = 30
	shownBefore  = 20
)

// noteLocked adds a line to the history. It merges lines if many PUBRELs and PUBCOMPs follow each other.
func (c *conn) noteLocked(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	line := fmt.Sprintf("%8.3f ", time.Since(c.start).Seconds()) + text
	c.repeats++
	if !strings.HasPrefix(text, "<- PUBREL") && !strings.HasPrefix(text, "-> PUBCOMP") {
		c.repeats = 0
	}
	if c.repeats > 4 && len(c.history) > 0 {
		c.history[len(c.history)-1] = fmt.Sprintf("%s (and %d similar lines before)", line, c.repeats-4)
		return
	}
	if len(c.opening) < openingLines {
		c.opening = append(c.opening, line)
		return
	}
	if len(c.history) >= 2*shownPackets {
		c.history = append(c.history[:0], c.history[len(c.history)-shownPackets:]...)
	}
	c.history = append(c.history, line)
}

// excerptLocked returns the first and the latest lines of the history.
func (c *conn) excerptLocked(latest int) []string {
	lines := []string{fmt.Sprintf("%s, connection %d:", c.s.cfg.Name, c.number)}
	lines = append(lines, c.opening...)
	if n := len(c.history) - latest; n > 0 {
		return append(append(lines, "         ..."), c.history[n:]...)
	}
	return append(lines, c.history...)
}

// recentLocked returns the latest lines of this connection and of the previous one.
func (c *conn) recentLocked() []string {
	var lines []string
	if c.sess != nil {
		lines = slices.Clone(c.sess.previous)
	}
	return append(lines, c.excerptLocked(shownPackets)...)
}

// violationLocked reports a violated rule and ends the connection.
func (c *conn) violationLocked(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	c.noteLocked("!! %s", text)
	c.s.cfg.Report(Violation{Server: c.s.cfg.Name, Text: text, History: c.recentLocked()})
	c.closeLocked(false)
}
