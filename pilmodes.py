import numpy as np, PIL, io
from PIL import Image, ImageOps
print(PIL.__version__)
g=(np.arange(64*48).reshape(48,64)*21).astype(np.uint16)
import os; os.makedirs("/tmp/pix/pil",exist_ok=True); d="/tmp/pix/pil/"
Image.fromarray(g).save(d+"g16.png"); Image.fromarray(g).save(d+"g16.tif"); Image.fromarray(g.astype(np.float32)/65535).save(d+"f.tif"); Image.fromarray(g.astype(np.int32)).save(d+"i32.tif")
try: Image.fromarray(g).save(d+"g16.jp2")
except Exception as e: print(e)
open(d+"g16.pgm","wb").write(b"P5\n64 48\n65535\n"+g.astype(">u2").tobytes())
open(d+"g12.pgm","wb").write(b"P5\n64 48\n4095\n"+(g>>4).astype(">u2").tobytes())
rgb=np.stack([g,g[::-1],g[:,::-1]],-1); open(d+"rgb16.ppm","wb").write(b"P6\n64 48\n65535\n"+rgb.astype(">u2").tobytes())
open(d+"f.pfm","wb").write(b"Pf\n64 48\n-1.0\n"+(g/65535).astype("<f4").tobytes())
os.system(f"ffmpeg -v error -y -i {d}rgb16.ppm -pix_fmt rgb48be {d}rgb16.png; ffmpeg -v error -y -i {d}rgb16.ppm -pix_fmt rgb48le {d}rgb16.tif; ffmpeg -v error -y -i {d}rgb16.ppm -pix_fmt ya16be {d}ya16.png; ffmpeg -v error -y -i {d}rgb16.ppm -pix_fmt rgba64be {d}rgba16.png; ffmpeg -v error -y -i {d}g16.png -pix_fmt gray10le -c:v jpeg2000 {d}g10.jp2;ffmpeg -v error -y -i {d}g16.png -pix_fmt monow {d}mono.png")
for f in sorted(os.listdir(d)):
    try:
        p=Image.open(d+f); a=np.asarray(p); print(f, p.format,p.mode, a.dtype, a.shape, a.min(), a.max(), "tags", getattr(p,"tag_v2",{}).get(258), getattr(p,"tag_v2",{}).get(262), getattr(p,"tag_v2",{}).get(339))
    except Exception as e: print(f, repr(e)[:100])
for o in range(1,9):
  for f in ("jpg","png","tif","webp"):
    q=Image.fromarray(np.stack([(g%251).astype(np.uint8)]*3,-1)); ex=Image.Exif(); ex[0x112]=o
    q.save(d+f"o{o}.{f}",exif=ex)
    p=Image.open(d+f"o{o}.{f}"); t=ImageOps.exif_transpose(p); assert (t.size==(48,64))==(o>4),(o,f,t.size)
