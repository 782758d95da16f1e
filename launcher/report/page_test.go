package report

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// page writes the page of several runs into a file.
func page(t *testing.T, more string) string {
	t.Helper()
	var b bytes.Buffer
	if err := read(t, Options{}, several(t)...).Page(&b, Live{}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(path, []byte(strings.Replace(b.String(), "</body>", more+"</body>", 1)), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// A page needs nothing from anywhere.
func TestPageIsSelfContained(t *testing.T) {
	text, err := os.ReadFile(page(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?i)\b(src|href|action|poster|srcset|data)="([^"]*)"`).FindAllStringSubmatch(string(text), -1) {
		if !strings.HasPrefix(m[2], "data:text/csv") && !strings.HasPrefix(m[2], "#") {
			t.Errorf("%s", m[0])
		}
	}
	rest := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "") // a name, not an address
	for _, bad := range []string{"http:", "https:", "@import", "url(", "<link", "<iframe", "ZgotmplZ"} {
		if i := strings.Index(rest, bad); i >= 0 {
			t.Errorf("%q in …%s…", bad, rest[max(0, i-60):min(len(rest), i+60)])
		}
	}
}

// What a program or a user names can not become part of the page.
func TestPageEscapes(t *testing.T) {
	evil := `</script><script>alert(1)</script><img src=x onerror=alert(2)>`
	r := read(t, Options{}, synthetic(t, made{sync: evil, limit: -7, speed: 1, args: []string{evil}}))
	var b bytes.Buffer
	if err := r.Page(&b, Live{State: "1", Status: evil}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "<img") || strings.Contains(b.String(), "<script>alert") {
		t.Error("the text of a setting is markup")
	}
}

// chromium runs the browser, and skips the test where there is none.
func chromium(t *testing.T, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--hide-scrollbars", "--user-data-dir=" + t.TempDir(),
	}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, errs.String())
	}
	return out
}

// The page is opened in a real browser, at the sizes of a desktop and a phone,
// light and dark.
func TestPageInABrowser(t *testing.T) {
	check, err := os.ReadFile(filepath.Join("testdata", "check.js"))
	if err != nil {
		t.Fatal(err)
	}
	path := page(t, "<script>"+string(check)+"</script>")
	for _, c := range []struct {
		name string
		args []string
		dark bool
	}{
		{"desktop", []string{"--window-size=1280,900"}, false},
		{"phone", []string{"--window-size=500,900"}, false}, // the least width of a headless window
		{"dark", []string{"--window-size=1280,900", "--blink-settings=preferredColorScheme=0"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dom := chromium(t, append(c.args, "--dump-dom", "file://"+path)...)
			m := regexp.MustCompile(`(?s)<pre id="found">(.*?)</pre>`).FindSubmatch(dom)
			if m == nil {
				t.Fatalf("the page's check did not run: %d bytes", len(dom))
			}
			var found struct {
				Wrong, Figures, Settings, TipWants []string
				Width, Inner                       float64
				Background, Ink, Tip, CSV          string
			}
			if err := json.Unmarshal([]byte(html.UnescapeString(string(m[1]))), &found); err != nil {
				t.Fatal(err)
			}
			for i, w := range found.Wrong {
				if i < 20 {
					t.Error(w)
				}
			}
			if found.Width > found.Inner {
				t.Errorf("the page is %g pixels wide in a window of %g", found.Width, found.Inner)
			}
			if !slices.Equal(found.Settings, []string{"bsp", "ssp:3", "async"}) || len(found.Figures) != 10 {
				t.Errorf("settings %q, figures %q", found.Settings, found.Figures)
			}
			for _, w := range found.TipWants {
				if !strings.Contains(found.Tip, w) {
					t.Errorf("under the pointer %q, want %q in it", found.Tip, w)
				}
			}
			if !strings.HasPrefix(found.CSV, "setting,runs,seconds_to_target,seconds_to_target_low") {
				t.Errorf("CSV begins with %q", found.CSV)
			}
			if a, b := luminance(t, found.Background), luminance(t, found.Ink); (a < b) != c.dark || max(a, b)-min(a, b) < 150 {
				t.Errorf("background %s, ink %s", found.Background, found.Ink)
			}
		})
	}
}

// luminance is how light a colour of a style is, 0 to 255.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	var sum float64
	parts := regexp.MustCompile(`\d+`).FindAllString(colour, 3)
	if len(parts) < 3 {
		t.Fatalf("colour %q", colour)
	}
	for i, p := range parts {
		v, err := strconv.ParseFloat(p, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += v * []float64{0.3, 0.59, 0.11}[i]
	}
	return sum
}

// Without scripts the page shows all the same pictures.
func TestPageWithoutScripts(t *testing.T) {
	path := page(t, "")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Headless, the browser takes no picture of a page whose scripts it was told not to run.
	plain := regexp.MustCompile(`(?s)<script.*?</script>`).ReplaceAll(text, nil)
	if err := os.WriteFile(path, plain, 0o666); err != nil {
		t.Fatal(err)
	}
	shot := filepath.Join(t.TempDir(), "shot.png")
	chromium(t, "--window-size=1280,4200", "--screenshot="+shot, "file://"+path)
	f, err := os.Open(shot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if n := pixels(img, seriesColours[i].light); n < 300 {
			t.Errorf("%d pixels of the colour of setting %d", n, i)
		}
	}
	for kind, c := range partColours {
		if n := pixels(img, c.light); n < 300 {
			t.Errorf("%d pixels of %s", n, kind)
		}
	}
}

// pixels counts those of a colour.
func pixels(img image.Image, colour string) int {
	want, n := hex(colour, 255), 0
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			if uint8(r>>8) == want.R && uint8(g>>8) == want.G && uint8(b>>8) == want.B {
				n++
			}
		}
	}
	return n
}

// Paper gets the page, too.
func TestPagePrints(t *testing.T) {
	pdf := filepath.Join(t.TempDir(), "report.pdf")
	chromium(t, "--no-pdf-header-footer", "--print-to-pdf="+pdf, "file://"+page(t, ""))
	text, err := os.ReadFile(pdf)
	if err != nil || !bytes.HasPrefix(text, []byte("%PDF-")) {
		t.Fatalf("no PDF: %v", err)
	}
	if pages := bytes.Count(text, []byte("/Type /Page\n")) + bytes.Count(text, []byte("/Type /Page ")); pages > 6 {
		t.Errorf("%d pages", pages)
	}
}
