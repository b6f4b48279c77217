// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestList_ManyBridges_TroubleComesFirstAndEachHasAPage(t *testing.T) {
	const bridges = 40
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	host := mqtttest.NewHost(t)
	for i := range bridges {
		host.Put(manifest(fmt.Sprintf("line-%02d", i), local.URL(), "cloud", remote.URL()))
	}
	host.Put(manifest("without-server", local.URL(), "cloud", "mqtt://"+mqtttest.FreeAddress(t)))
	host.Start()
	host.WaitConnected("line-39.yaml", patience)
	list := open(t, host.Runner, "/")
	list.waitText("41 bridges: 1 not forwarding; 40 forwarding")
	if rows := list.rows("in trouble first"); len(rows) != bridges+1 || rows[0][0] != "plant/without-server" || rows[1][0] != "plant/line-00" {
		t.Errorf("the rows are %q", rows)
	}

	// The row of a bridge moves when its state changes. A link that has the focus keeps it.
	list.evaluate(`document.querySelector("a[href$='line-07']").focus()`, new(any))
	host.Put(manifest("line-07", local.URL(), "cloud", "mqtt://"+mqtttest.FreeAddress(t)))
	list.waitText("41 bridges: 1 not forwarding; 1 forwarding, with problems; 39 forwarding")
	var focused string
	list.evaluate(`document.activeElement.textContent`, &focused)
	if rows := list.rows("in trouble first"); rows[1][0] != "plant/line-07" || focused != "plant/line-07" {
		t.Errorf("the second row is %q, and the focus is on %q", rows[1], focused)
	}
	host.Remove("line-01.yaml")
	list.waitText("40 bridges: 1 not forwarding; 1 forwarding, with problems; 38 forwarding")
	for _, row := range list.rows("in trouble first") {
		if row[0] == "plant/line-01" {
			t.Error("the list has a bridge that was removed")
		}
	}

	list.click("a[href$='line-07']")
	list.waitText("plant/line-07", "All bridges", "Forwarding, with problems", "ConnectionRefused: ")
	list.click("nav a")
	list.waitText("40 bridges")
	list.evaluate(`document.querySelector("#name").value = "line-1"`, new(any))
	list.click("button")
	list.waitText("10 of 40 bridges shown.")
	waitRequests(list, 2)
	if rows := list.rows("in trouble first"); len(rows) != 10 || !strings.HasPrefix(rows[0][0], "plant/line-1") {
		t.Errorf("the filtered rows are %q", rows)
	}
}

func TestBridge_Removed_PageSaysSo(t *testing.T) {
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	host := mqtttest.StartHost(t, manifest("a", local.URL(), "cloud", remote.URL()), manifest("b", local.URL(), "cloud", remote.URL()))
	tb := open(t, host.Runner, "/bridges/plant/a")
	tb.waitText("Connected to cloud")
	tb.setUnreachable(true) // the browser logs the answer 404
	host.Remove("a.yaml")
	tb.waitText("The runner does not run this bridge any more. This page shows an earlier state")
}
