"""Provisional."""
from __future__ import annotations
import numpy as np, torch
from torch.nn import functional as F
class Fit:
    def __init__(s,m,sd,W,b): s.mean,s.scale,s.weight,s.bias=m,sd,W,b
    def select(s,i): return Fit(s.mean,s.scale,s.weight[i:i+1],s.bias[i:i+1])
    def logits(s,g,size):
        z=(g-s.mean[:,None,None])/s.scale[:,None,None]
        R,K,D=s.weight.shape
        o=torch.einsum("bdhw,rkd->brkhw",z,s.weight)+s.bias[:,:,None,None]
        b=o.shape[0]; o=F.interpolate(o.flatten(1,2),size,mode="bilinear",align_corners=False)
        return o.unflatten(1,(R,K))
def fit_dense(grids,masks,*,rows,classes,ignore,learning_rates,steps,batch,generator,device):
    x=torch.from_numpy(np.asarray(grids[rows],np.float32)); m=x.mean((0,2,3)); sd=x.std((0,2,3)).clamp_min(1e-6)
    y=torch.from_numpy(np.asarray(masks[rows],np.int64)); R=len(learning_rates); D=x.shape[1]
    W=torch.zeros(R,classes,D,requires_grad=True); b=torch.zeros(R,classes,requires_grad=True)
    fit=Fit(m,sd,W,b); opt=torch.optim.AdamW([W,b],lr=1.0,weight_decay=0)
    lr=torch.tensor(learning_rates)
    mW=torch.zeros_like(W);vW=torch.zeros_like(W);mb=torch.zeros_like(b);vb=torch.zeros_like(b)
    for t in range(steps):
        i=torch.randint(len(rows),(min(batch,len(rows)),),generator=generator)
        o=fit.logits(x[i],y.shape[1:])
        loss=sum(F.cross_entropy(o[:,r],y[i],ignore_index=ignore) for r in range(R))
        gW,gb=torch.autograd.grad(loss,[W,b])
        with torch.no_grad():
            s=lr*0.5*(1+np.cos(np.pi*t/steps))
            for p,g,mm,vv,sh in ((W,gW,mW,vW,s[:,None,None]),(b,gb,mb,vb,s[:,None])):
                mm.mul_(.9).add_(.1*g);vv.mul_(.999).add_(.001*g*g)
                p-=sh*(mm/(1-.9**(t+1)))/((vv/(1-.999**(t+1))).sqrt()+1e-8)
    fit.weight,fit.bias=W.detach(),b.detach(); fit.classes=classes; fit.ignore=ignore
    return fit
def dense_confusion(fit,grids,masks,*,rows,device):
    K=fit.weight.shape[1]; out=[]
    for r in rows:
        g=torch.from_numpy(np.asarray(grids[r:r+1],np.float32)); y=torch.from_numpy(np.asarray(masks[r],np.int64))
        p=fit.logits(g,y.shape)[0].argmax(1); ok=y>=0
        out.append(torch.stack([torch.bincount((y[ok]*K+q[ok]),minlength=K*K).reshape(K,K) for q in p]))
    return torch.stack(out,1).numpy()
