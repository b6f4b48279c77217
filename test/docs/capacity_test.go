// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// capacityPage is the page that this file checks.
const capacityPage = "docs/guides/capacity.md"

// measured are regular expressions for the figures of the page, in the order of its table. Each finds the
// figure in its source.
var measured = []struct{ figure, page, pattern string }{
	{"QoS 0, 128 bytes, at a fixed rate", "docs/performance.md", row("QoS 0, 128 B", 3)},
	{"QoS 1, 128 bytes, at a fixed rate", "docs/performance.md", row("QoS 1, 128 B", 3)},
	{"QoS 2, 128 bytes, at a fixed rate", "docs/performance.md", row("QoS 2, 128 B", 3)},
	{"QoS 1, 64 KiB, at a fixed rate", "docs/performance.md", row("QoS 1, 64 KiB", 3)},
	{"throughput of QoS 1, 128 bytes, on two processors", "docs/performance.md", row("QoS 1, 128 B", 1)},
	{"over a round trip of 50 ms", "docs/performance.md", `(?m)^\| QoS 1, 128 B, 50 ms \| (\d+) /`},
	{"one idle bridge", "docs/performance.md", row("QoS 1, 128 B", 6)},
	{"1,000 idle bridges", "docs/performance.md", `\| resident memory \| [^|]* \| 112 to (\d+) MB \|`},
	{"scrape", "docs/performance.md", `scrape of .* needs about (\d+) MB more`},
	{"create a bridge", "docs/scale.md", `(?m)^\| create \| (\d+\.\d+) `},
	{"start its pod", "docs/scale.md", `(?m)^\| start of the pods \| (\d+\.\d+) `},
	{"Lease", "docs/two-runners.md", `every D/3: (\d+) writes a minute`},
	{"time of the API server", "docs/scale.md", `(10 to 20) ms for each request`},
}

// row returns a pattern for the runner's value in a column of the first table of docs/performance.md, MQTT
// 3.1.1 without TLS.
func row(name string, column int) string {
	return `(?s)### MQTT 3\.1\.1, plain.*?\n\| ` + name + ` \|` + strings.Repeat(`[^|\n]*\|`, column-1) + ` ([\d.]+) /`
}

// sourced returns a figure as its source has it.
func sourced(t *testing.T, page, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(read(t, page))
	if found == nil {
		t.Fatalf("%s has no figure %s", page, pattern)
	}
	return found[1]
}

func TestCapacity_Figures_AreThoseOfTheirSources(t *testing.T) {
	_, text, _ := strings.Cut(read(t, capacityPage), "\n## Figures\n")
	table := rows(text)
	for _, m := range measured {
		want := sourced(t, m.page, m.pattern)
		i := slices.IndexFunc(table, func(cells []string) bool { return strings.Contains(cells[0], m.figure) })
		if i < 0 {
			t.Errorf("the page has no figure %q", m.figure)
			continue
		}
		if !regexp.MustCompile(`(^|\s)` + regexp.QuoteMeta(want) + `\b`).MatchString(table[i][1]) {
			t.Errorf("%s: the page has %q, and %s has %s", table[i][0], table[i][1], m.page, want)
		}
		if name := strings.TrimPrefix(m.page, "docs/"); !strings.Contains(table[i][2], "../"+name) {
			t.Errorf("%s: the source is %s, want %s", table[i][0], table[i][2], name)
		}
	}
}

// constants are the numbers of formulae that are no figures of the page and no inputs of the example.
var constants = []string{"21", "0.117", "0.05", "8", "64", "40", "0.9", "1000000", "1000000000", "3600", "12", "100", "4", "2", "15", "3", "9.21"}

// The computations of the example are right, and each of their numbers is a figure, an input, a constant of
// a formula, or an earlier result.
func TestCapacity_Example_IsComputedFromTheFigures(t *testing.T) {
	page := read(t, capacityPage)
	_, example, _ := strings.Cut(page, "\n## Example\n")
	known := slices.Clone(constants)
	known = append(known, regexp.MustCompile(`\d[\d.]*`).FindAllString(strings.Split(example, "\n|")[0], -1)...)
	for i := range known {
		known[i] = strings.TrimSuffix(known[i], ".")
	}
	for _, m := range measured {
		known = append(known, sourced(t, m.page, m.pattern))
	}
	known = append(known, "80") // the pods of the second table
	computed := 0
	for _, line := range regexp.MustCompile(`(?m)^\| [^|]+ \| ([\d.]+ [x+/].*) = ([\d.]+) \|$`).FindAllStringSubmatch(example, -1) {
		computed++
		got, numbers := evaluate(t, line[1])
		for _, n := range numbers {
			if !slices.Contains(known, n) {
				t.Errorf("%s: %s is neither a figure, an input, a constant of a formula nor an earlier result", line[0], n)
			}
		}
		if want := shown(got, line[2]); want != line[2] {
			t.Errorf("%s: the result is %s", line[0], want)
		}
		known = append(known, line[2])
	}
	if computed < 15 {
		t.Errorf("only %d computations were found", computed)
	}
}

// evaluate returns the value of a sum of products, and its numbers.
func evaluate(t *testing.T, expression string) (sum float64, numbers []string) {
	t.Helper()
	for term := range strings.SplitSeq(expression, " + ") {
		product, operator := 1.0, "x"
		for word := range strings.FieldsSeq(term) {
			if word == "x" || word == "/" {
				operator = word
				continue
			}
			n, err := strconv.ParseFloat(word, 64)
			if err != nil {
				t.Fatalf("%s: %v", expression, err)
			}
			numbers = append(numbers, word)
			if operator == "x" {
				product *= n
			} else {
				product /= n
			}
		}
		sum += product
	}
	return sum, numbers
}

// shown returns a value with as many decimals as the shown result.
func shown(value float64, result string) string {
	_, decimals, _ := strings.Cut(result, ".")
	scale := math.Pow10(len(decimals))
	return fmt.Sprintf("%.*f", len(decimals), math.Round(value*scale)/scale)
}

// The formulae use the figures: memory per bridge, requests per bridge and the share of the disk.
func TestCapacity_Formulae_UseTheFigures(t *testing.T) {
	_, text, _ := strings.Cut(read(t, capacityPage), "\n## Formulae\n")
	number := func(page, pattern string) float64 {
		n, err := strconv.ParseFloat(sourced(t, page, pattern), 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const performance, scale = "docs/performance.md", "docs/scale.md"
	for _, want := range []string{
		fmt.Sprintf("`%.0f MB + bridges x %.3f MB`", math.Ceil(number(performance, row("QoS 1, 128 B", 6))), number(performance, measured[7].pattern)/1000),
		fmt.Sprintf("`bridges x %.2f MB`", number(performance, measured[8].pattern)/1000),
		fmt.Sprintf("`bridges x %.2f`", number(scale, measured[9].pattern)+number(scale, measured[10].pattern)),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no formula %s", want)
		}
	}
	if !strings.Contains(read(t, "docs/buffer.md"), "nine tenths hold the backlog") {
		t.Error("docs/buffer.md does not say that nine tenths of the disk hold the backlog")
	}
}
