// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"strconv"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

// none stands for a value that does not exist.
const none = "–"

// moment returns a time with its age.
func moment(at, now time.Time) node {
	if at.IsZero() {
		return text(none)
	}
	utc := at.UTC()
	layout := "15:04:05"
	if utc.Format(time.DateOnly) != now.UTC().Format(time.DateOnly) {
		layout = time.DateTime
	}
	return el("span",
		txt("time", utc.Format(layout)+" UTC").set("datetime", utc.Format(time.RFC3339)),
		text(" "),
		txt("small", "("+age(now.Sub(at))+" ago)"))
}

// age returns a duration in its largest unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return count.Of(int(d.Hours()/24), "day")
}

// milliseconds returns a number of milliseconds, or none.
func milliseconds(ms *int64) string {
	switch {
	case ms == nil:
		return none
	case *ms < 10_000:
		return fmt.Sprintf("%d ms", *ms)
	}
	return fmt.Sprintf("%.1f s", float64(*ms)/1000)
}

// gapOf returns the time of an interruption.
func gapOf(ms *int64) string {
	if ms != nil && *ms == 0 {
		return "< 1 ms"
	}
	return milliseconds(ms)
}

// number returns an integer with separators between thousands.
func number[T ~uint64 | ~int64 | ~int](n T) string {
	digits := strconv.FormatInt(int64(n), 10) // counts are below 1<<63
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// size returns a number of bytes with a unit.
func size(bytes float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	unit := 0
	for bytes >= 1024 && unit < len(units)-1 {
		bytes /= 1024
		unit++
	}
	if unit == 0 || bytes >= 100 {
		return fmt.Sprintf("%.0f %s", bytes, units[unit])
	}
	return fmt.Sprintf("%.1f %s", bytes, units[unit])
}

// perSecond returns the rate of messages.
func (r rate) perSecond() string {
	switch {
	case !r.ok:
		return none
	case r.messages == 0 || r.messages >= 10:
		return number(int64(r.messages + 0.5))
	}
	return fmt.Sprintf("%.1f", r.messages)
}

// bytesPerSecond returns the rate of payload.
func (r rate) bytesPerSecond() string {
	if !r.ok {
		return none
	}
	return size(r.bytes) + "/s"
}
