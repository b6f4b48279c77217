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

// conn is a connection. Its fields are guarded by the server's lock.
type conn struct {
	s       *Server
	tcp     *net.TCPConn
	r       *bufio.Reader
	w       *writer
	start   time.Time
	opening []string // the first lines of the history
	history []string
	repeats int  // how many lines of PUBREL and PUBCOMP the history ends with
	closed  bool // the server handles nothing more
	muted   bool // answers are dropped

	version      byte
	connect      *Connect
	number       int
	present      bool
	plan         Plan
	sess         *session
	keepAlive    time.Duration
	disconnected bool // DISCONNECT came

	// What the client has sent.
	aliases     map[uint16]string
	inUse       map[uint16]*inbound // identifiers without a last acknowledgement
	subscribing map[uint16]bool     // SUBSCRIBEs and UNSUBSCRIBEs without an answer
	releasing   map[uint16]bool     // PUBRELs of unknown or stale identifiers without an answer
	releases    int                 // how many of those came
	fresh       *Packet             // the first message that was sent without DUP
	exact       bool                // a QoS 2 message came
	resent      int                 // order of the latest message that came again
	recorded    int                 // counts PUBRECs
	lastRelease int                 // recOrder of the latest PUBREL

	// What the server has sent.
	resending []*delivery // of the session, to send again
	published []*delivery // QoS 1, in order, without PUBACK
	exactly   []*delivery // QoS 2, in order, without PUBREC
	completed []*delivery // QoS 2, without PUBCOMP
	outbound  int         // what counts for the client's receive maximum
}

func newConn(s *Server, tcp *net.TCPConn) *conn {
	return &conn{
		s: s, tcp: tcp, r: bufio.NewReader(tcp), w: newWriter(tcp), start: time.Now(),
		aliases: map[uint16]string{}, inUse: map[uint16]*inbound{}, subscribing: map[uint16]bool{}, releasing: map[uint16]bool{},
	}
}

const (
	// connectTimeout is how long a client may take to send CONNECT.
	connectTimeout = 20 * time.Second
	// keepAliveSlack is how much later than the protocol demands a packet may come, on a
	// machine that is busy.
	keepAliveSlack = 4 * time.Second
)

func (c *conn) run() {
	defer c.end()
	for {
		_ = c.tcp.SetReadDeadline(time.Now().Add(c.patience()))
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

// patience is how long the next packet may take.
func (c *conn) patience() time.Duration {
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

// handle processes what was read. It returns for how long to read nothing, and whether
// to read on.
func (c *conn) handle(p *Packet, err error) (silence time.Duration, goOn bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.closed {
		return 0, false
	}
	var broken malformed
	switch {
	case errors.As(err, &broken):
		c.violation("%s", broken.text)
		return 0, false
	case errors.Is(err, os.ErrDeadlineExceeded) && c.connect != nil:
		c.violation("no packet for 1.5 times the keep alive of %v [MQTT-3.1.2-22]", c.keepAlive)
		return 0, false
	case err != nil:
		c.note("the connection ends: %v", err)
		return 0, false
	}
	c.note("<- %s", p)
	if c.disconnected {
		c.violation("%s after DISCONNECT [MQTT-3.14.4-1]", names[p.Type])
		return 0, false
	}
	if p.Type == CONNECT && c.connect == nil {
		c.begin(p)
	}
	return c.process(p)
}

// begin takes the identity and the plan of a connection from its CONNECT.
func (c *conn) begin(p *Packet) {
	c.connect, c.version = p.Connect, p.Connect.Version
	c.s.counts[c.connect.ClientID]++
	c.number = c.s.counts[c.connect.ClientID]
	if c.s.cfg.Plan != nil {
		c.plan = c.s.cfg.Plan(c.number, c.connect)
	}
}

func (c *conn) process(p *Packet) (silence time.Duration, goOn bool) {
	var cut *Cut
	if c.plan.Cut != nil {
		cut = c.plan.Cut(p, true)
	}
	if cut != nil && cut.When == BeforeReading {
		if p.Type == PUBLISH && p.QoS == 2 && c.sess != nil {
			c.sess.released[p.ID] = true // a client that gives the message up has to release it
		}
		c.cut(cut)
		return 0, false
	}
	c.muted = cut != nil && cut.When == BeforeAnswer
	c.receive(p)
	if cut != nil && !c.closed {
		c.muted = false
		c.cut(cut)
	}
	if c.closed {
		return 0, false
	}
	if c.sess != nil {
		c.pump()
	}
	if c.plan.Silence != nil {
		if silence = c.plan.Silence(); silence > 0 {
			c.note("the server is silent for %v", silence)
			c.w.silence(silence)
		}
	}
	return silence, !c.closed
}

func (c *conn) cut(cut *Cut) {
	c.s.cuts.Add(1)
	if cut.Disconnect > 0 && c.version == V5 {
		c.note("-> DISCONNECT 0x%02x", cut.Disconnect)
		c.w.push(operation{data: encodeDisconnect(cut.Disconnect)})
	}
	c.note("%s", cut)
	c.close(cut.Reset)
}

// receive processes a packet of the client.
func (c *conn) receive(p *Packet) {
	if p.Type == CONNECT {
		if c.sess != nil {
			c.violation("a second CONNECT [MQTT-3.1.0-2]")
			return
		}
		c.accept()
		return
	}
	c.sess.confirmed = true
	if most := c.plan.MaximumPacketSize; c.version == V5 && most > 0 && p.Size > int(most) {
		c.violation("%s of %d bytes; the Maximum Packet Size is %d [MQTT-3.2.2-15]", names[p.Type], p.Size, most)
	}
	switch p.Type {
	case PUBLISH:
		c.publish(p)
	case PUBREL:
		c.release(p)
	case PUBACK:
		c.puback(p)
	case PUBREC:
		c.pubrec(p)
	case PUBCOMP:
		c.pubcomp(p)
	case SUBSCRIBE, UNSUBSCRIBE:
		c.subscribe(p)
	case PINGREQ:
		c.send(names[PINGRESP], frame(PINGRESP<<4, nil), nil)
	case DISCONNECT:
		c.disconnect(p)
	}
}

// disconnect reads on until the end: nothing may follow a DISCONNECT.
func (c *conn) disconnect(p *Packet) {
	c.disconnected = true
	if p.HasSessionExpiry {
		if c.sess.expiry == 0 && p.SessionExpiry > 0 {
			c.violation("DISCONNECT sets a session expiry that was 0 in CONNECT [MQTT-3.14.2-2]")
			return
		}
		c.sess.expiry = p.SessionExpiry
	}
	c.detach()
}

// send writes a packet of the server. before is called right before the write.
func (c *conn) send(name string, data []byte, before func()) {
	c.sendPacket(&Packet{Type: data[0] >> 4}, name, data, before)
}

func (c *conn) sendPacket(p *Packet, name string, data []byte, before func()) {
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
			c.note("-> %s, %d of %d bytes", name, len(op.data), len(data))
			c.w.push(op)
			c.cut(cut)
			return
		}
	}
	c.note("-> %s", name)
	c.w.push(op)
}

// close ends the connection behind what was sent.
func (c *conn) close(reset bool) {
	if c.closed {
		return
	}
	c.closed = true
	c.w.end(reset)
	c.detach()
}

// end is called when the connection is not read any more.
func (c *conn) end() {
	c.s.mu.Lock()
	c.close(false)
	c.s.mu.Unlock()
	<-c.w.done
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	delete(c.s.conns, c)
	c.s.idle.Broadcast()
}

const (
	// openingLines of a connection are always shown: CONNECT and CONNACK.
	openingLines = 2
	// shownPackets of a connection are enough to see what went wrong, shownBefore of the
	// connection before it.
	shownPackets = 30
	shownBefore  = 20
)

// note adds a line to the history. Of many PUBRELs and PUBCOMPs in a row it keeps a few.
func (c *conn) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	line := fmt.Sprintf("%8.3f ", time.Since(c.start).Seconds()) + text
	c.repeats++
	if !strings.HasPrefix(text, "<- PUBREL") && !strings.HasPrefix(text, "-> PUBCOMP") {
		c.repeats = 0
	}
	if c.repeats > 4 && len(c.history) > 0 {
		c.history[len(c.history)-1] = fmt.Sprintf("%s (and %d such lines before)", line, c.repeats-4)
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

// excerpt returns the first and the latest lines of the history.
func (c *conn) excerpt(latest int) []string {
	lines := []string{fmt.Sprintf("%s, connection %d:", c.s.cfg.Name, c.number)}
	lines = append(lines, c.opening...)
	if n := len(c.history) - latest; n > 0 {
		return append(append(lines, "         ..."), c.history[n:]...)
	}
	return append(lines, c.history...)
}

// recent returns the latest lines of this connection and of the one before.
func (c *conn) recent() []string {
	var lines []string
	if c.sess != nil {
		lines = slices.Clone(c.sess.previous)
	}
	return append(lines, c.excerpt(shownPackets)...)
}

// violation reports a broken rule and ends the connection.
func (c *conn) violation(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	c.note("!! %s", text)
	c.s.cfg.Report(Violation{Server: c.s.cfg.Name, Text: text, History: c.recent()})
	c.close(false)
}
