BageJ\P-B§"fBaÈ2BÀñÛA#müA"v4BEö÷AhÓByY$Bœ¸3BÆ¾&B¬ï5B’¯jB{B}ð
BÒ0BHŠ¿A·Ô)B›Ê8B¸öB½9BÁ¡ÐAÎ¸:B