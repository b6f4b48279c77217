// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

// A scale is a multiple of a unit. The numbers from size on are shown as multiples of size.
type scale struct {
	size   float64
	suffix string
}

// units has the units of Grafana that the dashboards use, by their names in the JSON model.
var units = map[string][]scale{
	"none":        {{1, ""}},
	"short":       {{1, ""}, {1e3, " K"}, {1e6, " Mil"}, {1e9, " Bil"}},
	"cps":         {{1, " c/s"}, {1e3, " K c/s"}, {1e6, " M c/s"}},
	"bytes":       {{1, " B"}, {1 << 10, " KiB"}, {1 << 20, " MiB"}, {1 << 30, " GiB"}},
	"Bps":         {{1, " B/s"}, {1e3, " kB/s"}, {1e6, " MB/s"}, {1e9, " GB/s"}},
	"s":           {{1e-9, " ns"}, {1e-6, " µs"}, {1e-3, " ms"}, {1, " s"}, {60, " mins"}, {3600, " hours"}, {86400, " days"}, {604800, " weeks"}, {31556900, " years"}},
	"percentunit": {{0.01, "%"}},
}

// scaleOf returns the scale in which a number is shown.
func scaleOf(unit string, value float64) scale {
	scales := units[unit]
	if len(scales) == 0 {
		return scale{1, " (unknown unit " + unit + ")"}
	}
	best := scales[0]
	for _, s := range scales {
		if math.Abs(value) >= s.size || value == 0 && s.size <= 1 {
			best = s
		}
	}
	return best
}

// formatValue returns a number with its unit, with three digits.
func formatValue(unit string, value float64) string {
	s := scaleOf(unit, value)
	number := value / s.size
	if number != 0 {
		digits := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(number))))
		number = math.Round(number*digits) / digits
	}
	return strconv.FormatFloat(number, 'f', -1, 64) + s.suffix
}

// showsUnit reports whether a text is a number in a unit.
func showsUnit(unit, text string) bool {
	for _, s := range units[unit] {
		number, ok := strings.CutSuffix(text, s.suffix)
		if _, err := strconv.ParseFloat(number, 64); ok && err == nil {
			return true
		}
	}
	return false
}

// ticks returns the values of an axis from 0 to at least a value, in whole steps of the unit.
func ticks(unit string, highest float64) (values []float64) {
	if highest <= 0 {
		highest = 1
	}
	size := scaleOf(unit, highest).size
	step := niceStep(highest / size / 4)
	for i := 0; ; i++ {
		value := float64(i) * step * size
		values = append(values, value)
		if value >= highest {
			return values
		}
	}
}

// niceStep returns the least of 1, 2, 5, 10 and so on that is not less than a value.
func niceStep(atLeast float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(atLeast)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= atLeast {
			return factor * power
		}
	}
	return 10 * power
}

func TestFormatValue_EachUnit_LooksAsInGrafana(t *testing.T) {
	for _, tt := range []struct {
		unit  string
		value float64
		want  string
	}{
		{"short", 0, "0"},
		{"short", 1234, "1.23 K"},
		{"none", 0.02, "0.02"},
		{"cps", 5.1666, "5.17 c/s"},
		{"cps", 0, "0 c/s"},
		{"bytes", 27058176, "25.8 MiB"},
		{"Bps", 1500, "1.5 kB/s"},
		{"s", 0.000250, "250 µs"},
		{"s", 0, "0 s"},
		{"s", -90, "-1.5 mins"},
		{"s", 3 * 86400, "3 days"},
		{"percentunit", 0.27, "27%"},
		{"percentunit", 0, "0%"},
	} {
		got := formatValue(tt.unit, tt.value)
		if got != tt.want || !showsUnit(tt.unit, got) {
			t.Errorf("%v in %s is %q, want %q", tt.value, tt.unit, got, tt.want)
		}
	}
	if showsUnit("cps", "5 B/s") || showsUnit("s", "local") {
		t.Error("a text is taken for a number of another unit")
	}
}

func TestTicks_AnyMaximum_AreFewAndCoverIt(t *testing.T) {
	for _, unit := range []string{"short", "bytes", "s", "percentunit"} {
		for _, highest := range []float64{0, 0.0003, 0.27, 1, 7.5, 620, 6.46e6, 42e6} {
			got := ticks(unit, highest)
			if len(got) < 3 || len(got) > 6 || got[0] != 0 || got[len(got)-1] < highest {
				t.Errorf("%s up to %v: the ticks are %v", unit, highest, got)
			}
		}
	}
}
