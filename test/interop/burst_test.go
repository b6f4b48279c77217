// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	// burstSize is the number of messages in a burst, half of QoS 1 and half of QoS 2. It is larger
	// than the number of packet identifiers.
	burstSize  = 70_000
	burstBatch = 100
	// burstAhead is the largest number of batches in transit. Servers drop messages if a client
	// reads too slowly: Mochi drops more than 8192 messages, Mosquitto drops at its queue limit.
	// This test covers identifiers, not queues.
	burstAhead = 2
	// burstTime is enough for a burst on a busy machine.
	burstTime = 3 * time.Minute
)

// identifiersWrapRound sends more messages than there are packet identifiers, in both directions in
// parallel. The clients do little work, so that it takes seconds.
func identifiersWrapRound(l *line) {
	l.connect()
	done := make(chan error)
	for _, w := range l.busy() {
		topic := l.topic(w.name + "/burst")
		from, to := l.raw(w.from), l.raw(w.to)
		must(l.T, to.subscribe(topic))
		room := make(chan struct{}, burstAhead)
		go func() { done <- from.publishBurst(topic, room) }()
		go func() {
			if err := to.readBurst(l.ordered(w), room); err != nil {
				done <- fmt.Errorf("%s: %w", w.name, err)
				return
			}
			done <- nil
		}()
	}
	var failed error
	for range 2 * len(l.busy()) {
		if err := <-done; err != nil {
			failed = err
		}
	}
	must(l.T, failed)
}

// rawClient sends and receives MQTT packets, with buffers.
type rawClient struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
}

// raw connects with a clean session.
func (l *line) raw(at traffic.Source) *rawClient {
	l.Helper()
	c := l.rawConnection(at)
	must(l.T, c.connect(&packets.ConnectPacket{ClientIdentifier: clientID()}))
	return c
}

// rawConnection returns a client that has not sent CONNECT yet.
func (l *line) rawConnection(at traffic.Source) *rawClient {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), eventTimeout)
	defer cancel()
	conn, err := at.Dial(ctx)
	must(l.T, err)
	l.Cleanup(func() { _ = conn.Close() })
	must(l.T, conn.SetDeadline(time.Now().Add(burstTime)))
	return &rawClient{conn, bufio.NewReaderSize(conn, 1<<20), bufio.NewWriter(conn)}
}

// connect sends the CONNECT with default values for the protocol fields.
func (c *rawClient) connect(with *packets.ConnectPacket) error {
	with.MessageType = packets.Connect
	with.ProtocolName, with.ProtocolVersion, with.CleanSession = "MQTT", 4, true
	answer, err := c.ask(with)
	if err != nil {
		return err
	}
	if ack, ok := answer.(*packets.ConnackPacket); !ok || ack.ReturnCode != packets.Accepted {
		return fmt.Errorf("refused: %s", answer)
	}
	return nil
}

func (c *rawClient) ask(question packets.ControlPacket) (packets.ControlPacket, error) {
	if err := question.Write(c.out); err != nil {
		return nil, err
	}
	if err := c.out.Flush(); err != nil {
		return nil, err
	}
	return packets.ReadPacket(c.in)
}

// subscribe subscribes at QoS 0, so that the client need not acknowledge.
func (c *rawClient) subscribe(filter string) error {
	subscribe := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	subscribe.MessageID, subscribe.Topics, subscribe.Qoss = 1, []string{filter}, []byte{0}
	answer, err := c.ask(subscribe)
	if err != nil {
		return err
	}
	if ack, ok := answer.(*packets.SubackPacket); !ok || ack.ReturnCodes[0] != 0 {
		return fmt.Errorf("not subscribed: %s", answer)
	}
	return nil
}

// publishBurst publishes in batches when room permits, and waits for the acknowledgements of each
// batch.
func (c *rawClient) publishBurst(topic string, room chan<- struct{}) error {
	for sent := 0; sent < burstSize; sent += burstBatch {
		select {
		case room <- struct{}{}:
		case <-time.After(burstTime):
			return fmt.Errorf("no message arrived after %d messages were published", sent)
		}
		for i := range burstBatch {
			p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
			p.TopicName, p.MessageID, p.Qos = topic, uint16(i+1), byte(1+i%2)
			p.Payload = binary.BigEndian.AppendUint32([]byte{p.Qos}, uint32(sent+i))
			if err := p.Write(c.out); err != nil {
				return err
			}
		}
		for acknowledged := 0; acknowledged < burstBatch; {
			if c.in.Buffered() == 0 {
				if err := c.out.Flush(); err != nil {
					return err
				}
			}
			packet, err := packets.ReadPacket(c.in)
			if err != nil {
				return fmt.Errorf("after publishing %d messages: %w", sent, err)
			}
			rec, received := packet.(*packets.PubrecPacket)
			if !received { // PUBACK or PUBCOMP
				acknowledged++
				continue
			}
			rel := packets.NewControlPacket(packets.Pubrel).(*packets.PubrelPacket)
			rel.MessageID = rec.MessageID
			if err := rel.Write(c.out); err != nil {
				return err
			}
		}
	}
	return nil
}

// readBurst reads until all messages of a burst have arrived once. If ordered is set, they must
// arrive in order at each QoS. It makes room for the next batches.
func (c *rawClient) readBurst(ordered bool, room <-chan struct{}) error {
	var newest [3]uint32
	seen := make([]bool, burstSize)
	for arrived := range burstSize {
		packet, err := packets.ReadPacket(c.in)
		if err != nil {
			return fmt.Errorf("%d of %d messages arrived: %w", arrived, burstSize, err)
		}
		p, ok := packet.(*packets.PublishPacket)
		if !ok {
			return fmt.Errorf("received %s instead of a message", packet)
		}
		qos, number := p.Payload[0], binary.BigEndian.Uint32(p.Payload[1:])
		if seen[number] {
			return fmt.Errorf("message %d at QoS %d arrived twice", number, qos)
		}
		seen[number] = true
		if ordered && number < newest[qos] {
			return fmt.Errorf("message %d at QoS %d arrived after %d", number, qos, newest[qos])
		}
		newest[qos] = number
		if (arrived+1)%burstBatch == 0 {
			<-room
		}
	}
	return nil
}
