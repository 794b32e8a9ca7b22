package page

import (
	"strconv"
	"strings"

	"rsc.io/qr"
)

// quietZone is the white margin that readers need, in modules.
const quietZone = 4

// qrView is a QR code as an SVG path.
type qrView struct {
	Size int
	Path string
}

// newQR draws the QR code of a text, a path of one rectangle per run of dark
// modules.
func newQR(text string) (*qrView, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil, err
	}
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			if !code.Black(x, y) {
				continue
			}
			start := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			path.WriteString("M" + strconv.Itoa(start+quietZone) + " " + strconv.Itoa(y+quietZone) + "h" + strconv.Itoa(x-start) + "v1h-" + strconv.Itoa(x-start) + "z")
		}
	}
	return &qrView{Size: code.Size + 2*quietZone, Path: path.String()}, nil
}
